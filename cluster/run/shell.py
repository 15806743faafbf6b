"""Running other programs: output into the step's log, failures as errors that show its tail."""

import os
import shlex
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from cluster.errors import ClusterError
from cluster.run.progress import current_log

Argument = str | Path

TAIL_LINES = 25


# What runs now, so that one failure can end the steps beside it.
_running: set[subprocess.Popen[bytes]] = set()
_stopping = threading.Event()
_cause: BaseException | None = None
"""The error that ended the steps. Those that it ended fail, too, and may be seen first."""


def run(
    command: Sequence[Argument],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    text_in: str = "",
) -> None:
    """Run to the end; its output goes into the step's log. Raises ClusterError when it fails."""
    log = current_log.get()
    if _stopping.is_set():
        raise ClusterError("another step has failed")

    with (log or Path(os.devnull)).open("ab") as output:
        try:
            process = subprocess.Popen(
                list(map(str, command)),
                env=env,
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except FileNotFoundError:
            raise ClusterError(f"{command[0]} is not installed") from None

        _running.add(process)
        if _stopping.is_set():
            # `stop_all` came between the first look and now.
            process.terminate()
        try:
            process.communicate(text_in.encode())
        finally:
            _running.discard(process)

    if process.returncode:
        _fail(command, f"ended with status {process.returncode}", log)


def pipe(
    source: Sequence[Argument], sink: Sequence[Argument], *, env: Mapping[str, str] | None = None
) -> None:
    """Run two commands, the output of one going into the other; fails when either does."""
    line = " | ".join(shlex.join(map(str, command)) for command in (source, sink))
    run(["bash", "-o", "pipefail", "-c", line], env=env)


def stop_all(cause: BaseException | None = None) -> None:
    """End every program that `run` has running, in all threads, and start no more until `resume`.

    Args:
        cause: The error that is the reason. Only the first one is kept.
    """
    global _cause  # noqa: PLW0603 (belongs to _stopping)
    _cause = _cause or cause
    _stopping.set()
    for process in list(_running):
        process.terminate()


def resume() -> None:
    """Let `run` start programs again."""
    global _cause  # noqa: PLW0603 (belongs to _stopping)
    _cause = None
    _stopping.clear()


def cause_of_stop() -> BaseException | None:
    """Return the error with which `stop_all` was first called since `resume`."""
    return _cause


def pause(seconds: float) -> None:
    """Wait for `seconds`, or raise ClusterError as soon as `stop_all` ends the steps."""
    if _stopping.wait(seconds):
        raise ClusterError("another step has failed")


def _fail(command: Sequence[Argument], how: str, log: Path | None) -> NoReturn:
    said = f"\n{tail(log)}\nThe whole log: {log}" if log else ""
    raise ClusterError(f"`{' '.join(map(str, command))}` {how}{said}")


def tail(file: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented; empty if there is no such file."""
    if not file.exists():
        return ""
    text = file.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in text)


def output(
    command: Sequence[Argument],
    *,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> str:
    """What the command prints. Raises ClusterError with what it complains about when it fails."""
    try:
        done = subprocess.run(
            list(map(str, command)),
            check=False,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )
    except FileNotFoundError:
        raise ClusterError(f"{command[0]} is not installed") from None
    except OSError as error:
        # Not executable, or built for another platform.
        raise ClusterError(f"{command[0]} can't be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"`{' '.join(map(str, command))}` gave no answer") from None

    if done.returncode:
        raise ClusterError(f"`{' '.join(map(str, command))}` failed: {done.stderr.strip()}")

    return done.stdout


def works(
    command: Sequence[Argument],
    *,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> bool:
    """Whether the command ends well, in time."""
    try:
        output(command, env=env, timeout_seconds=timeout_seconds)
    except ClusterError:
        return False
    return True
