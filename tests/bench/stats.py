"""Medians, percentiles and spreads. Pure."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.results import Sample


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, with the minimum and the maximum of its values."""

    median: float
    least: float
    greatest: float


def spread(values: Iterable[float]) -> Spread | None:
    """Return the spread of the values, or None if there are none."""
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1]) if ordered else None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the percentile of the values for that share (nearest rank)."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]


def over_rounds(samples: Iterable[Sample], value: Callable[[Sample], float]) -> Spread | None:
    """Return the spread of a value over the rounds."""
    return spread(value(sample) for sample in samples)


def ratio(
    ours: Iterable[Sample], theirs: Iterable[Sample], value: Callable[[Sample], float]
) -> Spread | None:
    """Return our values as multiples of theirs, by round, because a disturbance affects both."""
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
    """Return the seconds from the first submit to the last job that was seen done."""
    return sample.seconds
