"""Run other programs. Their output goes to the step's log, and errors show the end of the log."""

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


# The running programs. If one step fails, the programs of the other steps are stopped.
_running: set[subprocess.Popen[bytes]] = set()
_stopping = threading.Event()
_cause: BaseException | None = None
"""The error that caused all steps to be stopped. The errors of those steps are its consequences."""


def run(
    command: Sequence[Argument],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    text_in: str = "",
) -> None:
    """Run the command. Its output goes to the step's log. Raises ClusterError if it fails."""
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
            # `stop_all` was called after the first check.
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
    """Pipe one command's output into another. Raises ClusterError if either fails."""
    line = " | ".join(shlex.join(map(str, command)) for command in (source, sink))
    run(["bash", "-o", "pipefail", "-c", line], env=env)


def stop_all(cause: BaseException | None = None) -> None:
    """Stop all programs that `run` started in any thread, and start no others until `resume()`.

    Args:
        cause: The error that led to stopping them. Only the first cause is recorded.
    """
    global _cause  # noqa: PLW0603 (belongs to _stopping)
    _cause = _cause or cause
    _stopping.set()
    for process in list(_running):
        process.terminate()


def resume() -> None:
    """Allow `run` to start programs again."""
    global _cause  # noqa: PLW0603 (belongs to _stopping)
    _cause = None
    _stopping.clear()


def cause_of_stop() -> BaseException | None:
    """Return the first error passed to `stop_all` since `resume`; None if there is none."""
    return _cause


def pause(seconds: float) -> None:
    """Wait for `seconds`. Raises ClusterError as soon as `stop_all` is called."""
    if _stopping.wait(seconds):
        raise ClusterError("another step has failed")


def _fail(command: Sequence[Argument], how: str, log: Path | None) -> NoReturn:
    details = f"\n{tail(log)}\nThe whole log: {log}" if log else ""
    raise ClusterError(f"`{' '.join(map(str, command))}` {how}{details}")


def tail(file: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, indented; empty if there is no such file."""
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
    """Return the command's output. Raises ClusterError with its error output if it fails."""
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
        # The file is not executable, or it was built for another platform.
        raise ClusterError(f"{command[0]} can't be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"`{' '.join(map(str, command))}` did not finish in time") from None

    if done.returncode:
        raise ClusterError(f"`{' '.join(map(str, command))}` failed: {done.stderr.strip()}")

    return done.stdout


def succeeds(
    command: Sequence[Argument],
    *,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> bool:
    """Return whether the command succeeds in time."""
    try:
        output(command, env=env, timeout_seconds=timeout_seconds)
    except ClusterError:
        return False
    return True
