"""Count durations by size, as a Prometheus histogram does, without a client library."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

PHASE_SECONDS = (
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    *(120.0, 300.0, 600.0, 1800.0, 3600.0),
)
"""Upper bounds for the phases of an ImageJob. A warm worker takes 10 ms, and images of a large
batch wait for an hour."""

ROUND_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds for the operator's rounds. Most take less than a millisecond."""


class Durations:
    """Numbers of durations by their upper bounds, and the sum of all durations, in seconds."""

    __slots__ = ("_bounds", "_counts", "total_seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.total_seconds = 0.0
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)

    def add(self, seconds: float) -> None:
        """Count a duration. A negative one, from clocks that differ, counts as 0."""
        seconds = max(0.0, seconds)
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.total_seconds += seconds

    def buckets(self) -> Iterator[tuple[str, float]]:
        """Yield each bound as text, and how many durations do not exceed it."""
        count = 0
        for bound, within in zip((*self._bounds, float("inf")), self._counts, strict=True):
            count += within
            yield ("+Inf" if bound == float("inf") else str(bound)), count
