"""Summarize a run: the injected faults, and the time to the next finished image."""

import statistics
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from faults.fault_injection import Injected
from faults.history import History

GAPS = 3
"""Number of gaps to report, longest first. In a gap, no image finishes."""

BEFORE_GAP_SECONDS = 10
"""Faults that were injected within this time before a gap are reported with the gap."""


def summary(history: History, injected: list[Injected], retries: int) -> str:
    """Return a report with totals, and the time from faults to the next finished image."""
    ends = history.first_ends()

    lines = [f"{'fault':<24} {'times':>5}   time to next finished image: median, worst"]
    for kind in sorted({fault.kind for _, fault in injected}):
        waits = [
            _seconds_to_next_end(ends, at + fault.seconds)
            for at, fault in injected
            if fault.kind is kind
        ]
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
        f"{retried} images took more than one attempt; {lost} lost attempts were not counted",
        f"the last image ended {longest:.1f} s after the last fault",
        f"{len(history.observations)} states were observed",
    ]

    return "\n".join([*lines, *_longest_gaps(ends, injected)])


def _longest_gaps(ends: list[float], injected: list[Injected]) -> Iterator[str]:
    """Yield the longest gaps, and the faults injected during or shortly before each one."""
    gaps = sorted(((after - before, before) for before, after in pairwise(ends)), reverse=True)

    for seconds, start in gaps[:GAPS]:
        faults = [
            f"{fault.kind} ({at - start:+.0f} s)"
            for at, fault in injected
            if -BEFORE_GAP_SECONDS < at - start < seconds
        ]
        yield f"no image finished for {seconds:.1f} s: {', '.join(faults)}"


def _seconds_to_next_end(ends: list[float], at: float) -> float:
    """Return how many seconds after `at` the next image finished, or infinity if none did."""
    return next((end - at for end in ends if end > at), float("inf"))
