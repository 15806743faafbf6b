"""Medians, percentiles and spreads. Pure."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.results import Sample


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and the least and the greatest of what it is the median of."""

    median: float
    least: float
    greatest: float


def spread(values: Iterable[float]) -> Spread | None:
    """Of the values; None when there are none."""
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1]) if ordered else None


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that is not exceeded by that share of them (nearest rank)."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]


def over_rounds(samples: Iterable[Sample], value: Callable[[Sample], float]) -> Spread | None:
    """The spread of a value over the rounds."""
    return spread(value(sample) for sample in samples)


def ratio(
    ours: Iterable[Sample], theirs: Iterable[Sample], value: Callable[[Sample], float]
) -> Spread | None:
    """Ours as a multiple of theirs, round by round: what disturbed a round has disturbed both."""
    by_round = {sample.round: value(sample) for sample in theirs}
    return spread(
        value(sample) / by_round[sample.round] for sample in ours if sample.round in by_round
    )


def p50(sample: Sample) -> float:
    """Half of the jobs were seen done within so many seconds."""
    return statistics.median(sample.latencies)


def throughput(sample: Sample) -> float:
    """Images per second."""
    return sample.images_per_second


def duration(sample: Sample) -> float:
    """Seconds from the first submit to the last job that was seen done."""
    return sample.seconds
