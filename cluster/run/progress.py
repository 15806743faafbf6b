"""Progress that a person can follow in a terminal and in a CI log, and how long each step took."""

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

# Then after twice as long, and so on: a cold build takes minutes, and many steps run side by side.
FIRST_SIGN_OF_LIFE_SECONDS = 30.0
WORTH_TELLING_SECONDS = 0.1

# The log of the step that this thread is in: commands write their output there.
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
    """What a running step says about itself; `outcome` is printed when it ends."""

    title: str
    outcome: str = "done"
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.started


class Progress:
    """Prints a line when a step starts and one when it ends, and remembers the seconds."""

    def __init__(self, logs: Path, output: TextIO = sys.stderr, *, notes: bool = True) -> None:
        self._logs = logs
        self._output = output
        self._notes = notes
        self._lock = threading.Lock()
        self._timings: list[Timing] = []
        self._started = time.monotonic()

    def say(self, line: str) -> None:
        """Print a line, whole, whatever other threads print."""
        with self._lock:
            print(line, file=self._output, flush=True)

    def note(self, title: str, outcome: str) -> None:
        """A step that needed no work."""
        if self._notes:
            self._finish(Step(title, outcome))

    @contextlib.contextmanager
    def step(self, title: str, outcome: str = "done") -> Iterator[Step]:
        """Run a block as one step; its commands' output goes into a log of its own."""
        step = Step(title, outcome)
        log = self._logs / (title.replace(" ", "-").replace("/", "-") + ".log")
        log.write_text("")
        token = current_log.set(log)
        self.say(f"▸ {title} …")

        try:
            with self._alive(step):
                yield step
        except BaseException:
            step.outcome = "failed"
            raise
        finally:
            current_log.reset(token)
            self._finish(step)

    @contextlib.contextmanager
    def _alive(self, step: Step) -> Iterator[None]:
        finished = threading.Event()

        def tell() -> None:
            pause = FIRST_SIGN_OF_LIFE_SECONDS
            while not finished.wait(pause):
                self.say(f"  {step.title} … still at it, {step.seconds:.0f} s")
                pause *= 2

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()

        try:
            yield
        finally:
            finished.set()
            teller.join()

    def _finish(self, step: Step) -> None:
        mark = "✗" if step.outcome == "failed" else "✓"
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        timing = Timing(step.title, step.outcome, round(step.seconds, 1), now)
        took = f" in {timing.seconds} s" if timing.seconds >= WORTH_TELLING_SECONDS else ""
        self.say(f"{mark} {step.title}: {step.outcome}{took}")
        with self._lock:
            self._timings.append(timing)

    def table(self) -> str:
        """The steps that took time; parallel ones overlap, so they add up to more than the total."""
        rows = [
            (f"{timing.seconds:8.1f} s", timing.step, timing.outcome)
            for timing in self._timings
            if timing.seconds >= WORTH_TELLING_SECONDS
        ]
        total = time.monotonic() - self._started
        width = max((len(step) for _, step, _ in rows), default=0)
        lines = [f"{seconds}  {step:<{width}}  {outcome}" for seconds, step, outcome in rows]

        return "\n".join([*lines, f"{total:8.1f} s  in all (steps overlap)"])

    def append_to(self, timings: Path) -> None:
        """Add this run's steps to a file of JSON lines."""
        with timings.open("a") as file:
            for timing in self._timings:
                file.write(json.dumps(asdict(timing)) + "\n")
