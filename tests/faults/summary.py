"""What a reader of a run wants to know: what was done, and how soon it went on."""

import statistics
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from faults.history import History
from faults.sabotage import Injected

SILENCES = 3


def summary(history: History, injected: list[Injected], retries: int) -> str:
    """Return faults by kind with the time to the next completion after each, and what became of all."""
    ends = sorted({seen.job: seen.at for seen in reversed(history.seen) if seen.ended}.values())
    lines = [f"{'fault':<24} {'times':>5}   next image ended after: median, worst"]
    for kind in sorted({fault.kind for _, fault in injected}):
        waits = [_next(ends, at + fault.seconds) for at, fault in injected if fault.kind is kind]
        lines.append(
            f"{kind:<24} {len(waits):>5}   {statistics.median(waits):.2f} s, {max(waits):.2f} s"
        )

    phases = Counter(seen[-1].status["phase"] for seen in history.of_jobs().values())
    ended = ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items()))
    tries = [seen[-1].status for seen in history.of_jobs().values()]
    again = sum(status.get("attempts", 0) > 1 for status in tries)
    lost = sum(status.get("losses", 0) for status in tries)
    longest = max(ends, default=0) - history.last_fault
    lines += [
        f"{len(injected)} faults",
        f"{len(history.submits)} submits acknowledged, after {retries} retries: {ended}",
        f"{again} images took more than one attempt, {lost} attempts were lost at no cost",
        f"the last image ended {longest:.1f} s after the last fault; {len(history.seen)} states were seen",
    ]

    return "\n".join([*lines, *_silences(ends, injected)])


def _silences(ends: list[float], injected: list[Injected]) -> Iterator[str]:
    """The longest times in which no image ended, and what had been done from 10 s before them on."""
    gaps = sorted(((after - before, before) for before, after in pairwise(ends)), reverse=True)
    for seconds, begin in gaps[:SILENCES]:
        done = [
            f"{fault.kind} ({at - begin:+.0f} s)"
            for at, fault in injected
            if -10 < at - begin < seconds
        ]
        yield f"no image ended for {seconds:.1f} s: {', '.join(done)}"


def _next(ends: list[float], at: float) -> float:
    """Seconds from a fault (a pause's end) to the next end of an image."""
    return next((end - at for end in ends if end > at), float("inf"))
