"""Decide whether a curve rises, despite noise and the sawtooth pattern of garbage collection.

The rise of a curve is its Theil-Sen slope, the median of the slopes between all pairs of points,
times the length of the window. More than a quarter of the points may be arbitrarily wrong before
this slope becomes wrong, so a few peaks do not decide. A falling curve is flat.

Two sawtooth patterns would distort the slope of a short window. The memory of a process is
reduced to its lows: what is in use after a garbage collection. etcd's database is compacted at a
fixed interval, so only points at the same distance from a compaction are compared (the seasonal
slope of Hirsch, Slack and Smith, 1982).
"""

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MEGABYTE = 1e6

Point = tuple[float, float]
"""Seconds since the start of the load, and a value."""

FLAT_SHARE = 0.05
"""A curve may rise by this share of its median, because the lows of a large heap differ by a few
percent from one garbage collection to the next."""

SLACK_BYTES = 5 * MEGABYTE
"""Any curve may rise by this much, because a small process grows by whole arenas of its allocator.
In the window of a full run, 300 bytes for each image are more than this."""

MEMORY_CYCLE_SECONDS = 60.0
"""Longest expected time between two garbage collections under load."""

ETCD_CYCLE_SECONDS = 300.0
"""Time between two compactions of etcd (the API server's --etcd-compaction-interval)."""

SETTLED_SECONDS = 900.0
"""Time by which caches are filled, ImageJobs are evicted as fast as they arrive, and etcd has as
many old versions as two compactions leave."""

SETTLE_SECONDS = 60.0
"""Minimum time between the first eviction and the start of the window."""

MAX_POINTS = 120
"""Number of blocks into which a long curve is divided, because the number of pairs grows with the
square of the number of points."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a soak test in which curves must not rise, in seconds since the load's start."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return self.end - self.start


def judged_window(load_seconds: float, kept_seconds: float) -> Window | None:
    """Return the window from minute 15, or from the middle of a shorter load, to the load's end.

    Return None if the load is too short: ImageJobs must have been evicted before the window starts,
    and the window must be as long as the time before it, up to 15 minutes.
    """
    leaving = kept_seconds + SETTLE_SECONDS
    start = max(leaving, min(SETTLED_SECONDS, load_seconds / 2))
    needed = start + min(start, SETTLED_SECONDS)
    return Window(start, load_seconds) if load_seconds >= needed else None


def steady(points: Sequence[Point], window: Window) -> list[Point]:
    """Return the points in a window."""
    return [point for point in points if window.start <= point[0] <= window.end]


def lows(points: Sequence[Point], cycle_seconds: float) -> list[Point]:
    """Return the lowest value of the cycle that begins at each point.

    Points at the end are omitted, because no whole cycle follows them.
    """
    last = points[-1][0] if points else 0.0
    found: list[Point] = []

    for i, (start, _) in enumerate(points):
        end = start + cycle_seconds
        if end <= last:
            found.append((start, min(_until(points[i:], end))))

    return found


def _until(points: Sequence[Point], end: float) -> Iterator[float]:
    for moment, value in points:
        if moment > end:
            return
        yield value


def is_flat(points: Sequence[Point], seconds: float, season_seconds: float = 0.0) -> bool:
    """Return whether a curve rises by no more than is allowed during a window of `seconds`."""
    return rise(points, seconds, season_seconds) <= allowed(points)


def rise(points: Sequence[Point], seconds: float, season_seconds: float = 0.0) -> float:
    """Return by how much a curve rises during `seconds`, according to its Theil-Sen slope.

    With `season_seconds`, only points that are a multiple of this time apart are compared.
    """
    thinned = list(_thinned(points))
    tolerance = _spacing(thinned) / 2

    slopes = [
        (later - value) / (t - moment)
        for (moment, value), (t, later) in itertools.combinations(thinned, 2)
        if t > moment and _same_season(t - moment, season_seconds, tolerance)
    ]

    return statistics.median(slopes) * seconds if slopes else 0.0


def _same_season(distance: float, season_seconds: float, tolerance: float) -> bool:
    if not season_seconds:
        return True
    seasons = round(distance / season_seconds)
    return seasons >= 1 and abs(distance - seasons * season_seconds) <= tolerance


def _spacing(points: Sequence[Point]) -> float:
    steps = [later - moment for (moment, _), (later, _) in itertools.pairwise(points)]
    return statistics.median(steps) if steps else 0.0


def allowed(points: Sequence[Point]) -> float:
    """Return by how much a curve may rise."""
    median = statistics.median(value for _, value in points) if points else 0.0
    return max(SLACK_BYTES, FLAT_SHARE * median)


def _thinned(points: Sequence[Point]) -> Iterator[Point]:
    """Yield the medians of at most MAX_POINTS blocks of points."""
    size = -(-len(points) // MAX_POINTS) or 1
    for i in range(0, len(points), size):
        block = points[i : i + size]
        yield (
            statistics.median(moment for moment, _ in block),
            statistics.median(value for _, value in block),
        )
