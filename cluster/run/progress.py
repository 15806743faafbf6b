"""Print progress to terminals and CI logs, and record the duration of each step."""

import contextlib
import contextvars
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

# Pause before the first line that says that a step is still running. The pause doubles each time,
# because a first build takes minutes and many steps run in parallel.
FIRST_HEARTBEAT_SECONDS = 30.0
# Shorter durations are not shown.
MIN_SHOWN_SECONDS = 0.1

# The log of the current step, to which commands write their output.
current_log: contextvars.ContextVar[Path | None] = contextvars.ContextVar("log", default=None)


@dataclass(frozen=True)
class Timing:
    """One finished step."""

    step: str
    outcome: str
    seconds: float
    finished_at: str


@dataclass
class Step:
    """A running step. Its `outcome` is printed when it ends."""

    title: str
    outcome: str = "done"
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """The seconds since the step started."""
        return time.monotonic() - self.started


class Progress:
    """Prints a line when a step starts and when it ends, and records the duration."""

    def __init__(self, logs: Path, output: TextIO = sys.stderr, *, notes: bool = True) -> None:
        self._logs = logs
        self._output = output
        self._notes = notes
        self._lock = threading.Lock()
        self._timings: list[Timing] = []
        self._started = time.monotonic()

    def say(self, line: str) -> None:
        """Print a line without mixing it with other threads' output."""
        with self._lock:
            print(line, file=self._output, flush=True)

    def note(self, title: str, outcome: str) -> None:
        """Report a step that needed no work."""
        if self._notes:
            self._finish(Step(title, outcome))

    @contextlib.contextmanager
    def step(self, title: str, outcome: str = "done") -> Iterator[Step]:
        """Run the block as one step. The output of its commands goes to the step's log."""
        step = Step(title, outcome)
        log = self._logs / (title.replace(" ", "-").replace("/", "-") + ".log")
        log.write_text("")

        token = current_log.set(log)
        self.say(f"▸ {title} …")

        try:
            with self._heartbeat(step):
                yield step
        except BaseException:
            step.outcome = "failed"
            raise
        finally:
            current_log.reset(token)
            self._finish(step)

    @contextlib.contextmanager
    def _heartbeat(self, step: Step) -> Iterator[None]:
        finished = threading.Event()

        def report() -> None:
            pause = FIRST_HEARTBEAT_SECONDS
            while not finished.wait(pause):
                self.say(f"  {step.title} … still running, {step.seconds:.0f} s")
                pause *= 2

        reporter = threading.Thread(target=report, daemon=True)
        reporter.start()

        try:
            yield
        finally:
            finished.set()
            reporter.join()

    def _finish(self, step: Step) -> None:
        mark = "✗" if step.outcome == "failed" else "✓"
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        timing = Timing(step.title, step.outcome, round(step.seconds, 1), now)
        took = f" in {timing.seconds} s" if timing.seconds >= MIN_SHOWN_SECONDS else ""
        self.say(f"{mark} {step.title}: {step.outcome}{took}")
        with self._lock:
            self._timings.append(timing)

    def table(self) -> str:
        """Return a table of the steps that took time, and the total.

        Parallel steps overlap, so the sum of their durations exceeds the total.
        """
        rows = [
            (f"{timing.seconds:8.1f} s", timing.step, timing.outcome)
            for timing in self._timings
            if timing.seconds >= MIN_SHOWN_SECONDS
        ]
        total = time.monotonic() - self._started
        width = max((len(step) for _, step, _ in rows), default=0)
        lines = [f"{seconds}  {step:<{width}}  {outcome}" for seconds, step, outcome in rows]

        return "\n".join([*lines, f"{total:8.1f} s  in total (steps overlap)"])

    def append_to(self, timings: Path) -> None:
        """Append this run's steps to a file of JSON lines."""
        with timings.open("a") as file:
            for timing in self._timings:
                file.write(json.dumps(asdict(timing)) + "\n")
