"""Summarize a run: the injected faults, and how soon after each one an image ended."""

import statistics
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from faults.fault_injection import Injected
from faults.history import History

GAPS = 3
"""Number of the longest gaps without a finished image to report."""

BEFORE_GAP_SECONDS = 10
"""Faults this long before a gap are reported with it."""


def summary(history: History, injected: list[Injected], retries: int) -> str:
    """Return the faults by kind, with the time until the next image ended, and the totals."""
    first_ends = {each.job: each.at for each in reversed(history.observations) if each.ended}
    ends = sorted(first_ends.values())

    lines = [f"{'fault':<24} {'times':>5}   next image ended after: median, worst"]
    for kind in sorted({fault.kind for _, fault in injected}):
        waits = [_next(ends, at + fault.seconds) for at, fault in injected if fault.kind is kind]
        median = statistics.median(waits)
        lines.append(f"{kind:<24} {len(waits):>5}   {median:.2f} s, {max(waits):.2f} s")

    statuses = [observations[-1].status for observations in history.by_job().values()]
    phases = Counter(status["phase"] for status in statuses)
    ended = ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items()))
    retried = sum(status.get("attempts", 0) > 1 for status in statuses)
    lost = sum(status.get("losses", 0) for status in statuses)
    longest = max(ends, default=0) - history.last_fault

    lines += [
        f"{len(injected)} faults",
        f"{len(history.submits)} submissions acknowledged, after {retries} retries: {ended}",
        f"{retried} images took more than one attempt, {lost} lost attempts did not count",
        f"the last image ended {longest:.1f} s after the last fault",
        f"{len(history.observations)} states were observed",
    ]

    return "\n".join([*lines, *_longest_gaps(ends, injected)])


def _longest_gaps(ends: list[float], injected: list[Injected]) -> Iterator[str]:
    """Yield the longest periods without a finished image, with the faults in or before them."""
    gaps = sorted(((after - before, before) for before, after in pairwise(ends)), reverse=True)

    for seconds, start in gaps[:GAPS]:
        faults = [
            f"{fault.kind} ({at - start:+.0f} s)"
            for at, fault in injected
            if -BEFORE_GAP_SECONDS < at - start < seconds
        ]
        yield f"no image ended for {seconds:.1f} s: {', '.join(faults)}"


def _next(ends: list[float], at: float) -> float:
    """Return the seconds from a fault (or the end of a pause) until the next image ended."""
    return next((end - at for end in ends if end > at), float("inf"))
