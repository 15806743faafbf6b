"""Calculate medians, percentiles and spreads."""

import itertools
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.results import Sample


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, minimum and maximum of some values."""

    median: float
    least: float
    greatest: float


def spread(values: Iterable[float]) -> Spread | None:
    """Return the spread of the values, or None if there are none."""
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1]) if ordered else None


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile by nearest rank. `share` is between 0 and 1."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]


def over_rounds(samples: Iterable[Sample], value: Callable[[Sample], float]) -> Spread | None:
    """Return the spread of a quantity over all samples."""
    return spread(value(sample) for sample in samples)


def ratio(
    ours: Iterable[Sample], theirs: Iterable[Sample], value: Callable[[Sample], float]
) -> Spread | None:
    """Return the spread of our values divided by theirs.

    Only values from the same round are compared, because a disturbance during a round usually
    affects both systems.
    """
    by_round = {sample.round: value(sample) for sample in theirs}
    return spread(
        value(sample) / by_round[sample.round] for sample in ours if sample.round in by_round
    )


def p50(sample: Sample) -> float:
    """Return the median latency in seconds."""
    return statistics.median(sample.latencies)


def throughput(sample: Sample) -> float:
    """Return the throughput in images per second."""
    return sample.images_per_second


def duration(sample: Sample) -> float:
    """Return the seconds from the first submission until the last job was done."""
    return sample.seconds


Curve = Sequence[tuple[float, int]]
"""Points of a curve. Each one is a time in seconds and how many images were done by then."""


def moment(curve: Curve, count: float) -> float:
    """Return the time at which `count` images were done, by linear interpolation.

    `count` is between the counts of the first and the last point.
    """
    for (before, fewer), (after, more) in itertools.pairwise(curve):
        if fewer <= count <= more and fewer < more:
            return before + (after - before) * (count - fewer) / (more - fewer)

    return curve[-1][0]


def tenths(curve: Curve) -> list[tuple[int, int, float]]:
    """Return the first and last image of each tenth of a curve, and its images per second.

    The first tenth begins when the first images were seen done, because what comes before is the
    start of the work.
    """
    (start, first), total = next(it for it in curve if it[1] > 0), curve[-1][1]
    marks = [(start, first)] + [
        (moment(curve, total * number / 10), round(total * number / 10)) for number in range(1, 10)
    ]
    marks.append((moment(curve, total), total))

    return [
        (begun, ended, (ended - begun) / (after - before))
        for (before, begun), (after, ended) in itertools.pairwise(marks)
        if begun < ended and before < after
    ]
