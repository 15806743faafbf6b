"""Compare the results of batches with the targets."""

from collections.abc import Callable, Sequence

from bench import stats
from bench.plan import (
    BATCH,
    BESIDE_BATCH,
    EIGHT,
    FROM_DISK,
    METADATA,
    NOTHING,
    ONE,
    THIRTY_TWO,
    UPLOAD_LOADS,
)
from bench.report.targets import MEGABYTE, Target
from bench.results import CELERY, VISION_NODE, LargeBatch, Run, Sample
from bench.stats import Spread

KIBIBYTE = 1024

MAX_IMAGEJOBS = 100
"""Maximum number of ImageJobs of a batch: those ahead of the workers, those that the workers have,
and up to 64 that wait to be counted."""

USUAL_IMAGES = 100_000
"""Number of images of a large batch, in the targets of a page without such results."""


def judge(run: Run | None, large: Sequence[LargeBatch]) -> list[Target]:
    """Return the targets of batches. Missing results count as not measured."""
    sizes = [target for found in large for target in _large(found, found.images)]
    return [*_rates(run), *_uploads(run), *_costs(run), *(sizes or _large(None, USUAL_IMAGES))]


def best_through_http(run: Run, describer: str) -> list[Sample]:
    """Return the sample with Celery's best rate through its HTTP API, for each round."""
    found = [*run.select(CELERY, EIGHT, describer), *run.select(CELERY, THIRTY_TWO, describer)]
    rounds = sorted({sample.round for sample in found})
    return [
        max((it for it in found if it.round == number), key=stats.throughput) for number in rounds
    ]


def _rates(run: Run | None) -> list[Target]:
    size = f"{_size(run):,}"
    photographs, nothing = (
        f"images/s, batch of {size} photographs",
        f"images/s, batch of {size}, describer `nothing`",
    )
    http, disk = "× Celery through HTTP", "× Celery from its disk"

    return [
        Target(photographs, "at least", 1.2, 1.5, http, to_http(run, BATCH, METADATA)),
        Target(photographs, "at least", 0.7, 0.9, disk, _to_disk(run, METADATA)),
        Target(nothing, "at least", 2, 3, http, to_http(run, BATCH, NOTHING)),
        Target(nothing, "at least", 0.5, 0.8, disk, _to_disk(run, NOTHING)),
    ]


def _uploads(run: Run | None) -> list[Target]:
    size = f"{_size(run):,}"
    return [
        Target(
            f"images/s, {load}, {size} photographs",
            "at least",
            0.85,
            1,
            "× Celery through HTTP",
            to_http(run, load, METADATA),
        )
        for load in UPLOAD_LOADS
    ]


def _costs(run: Run | None) -> list[Target]:
    writes = _over_rounds(run, BATCH, lambda sample: sample.batch_writes / sample.images)
    first = stats.spread(run.first_result_seconds) if run else None
    title = "time until done beside a batch, 1 client, p50"

    return [
        Target("writes and deletions per image of a batch", "at most", 0.1, 0.05, "", writes),
        Target(title, "at most", 3, 2, "× without a batch", _beside(run)),
        Target("first result of a batch", "at most", 1, 0.5, "s", first),
    ]


def _large(found: LargeBatch | None, images: int) -> list[Target]:
    name = f"batch of {images:,}"

    def value(read: Callable[[LargeBatch], float]) -> Spread | None:
        return stats.spread([read(found)]) if found else None

    flat = value(last_tenth_to_first)
    size = value(lambda it: it.batch_bytes / KIBIBYTE)
    memory = value(lambda it: it.memory.get("operator", 0) / MEGABYTE)
    imagejobs = value(lambda it: it.imagejobs)
    wrong = value(lambda it: it.missing + it.repeated)

    return [
        Target(f"{name}: images/s, last tenth", "at least", 0.95, 0.95, "× first tenth", flat),
        Target(f"{name}: size of the ImageBatch", "at most", 32, 32, "KiB", size),
        Target(f"{name}: operator memory", "at most", 150, 150, "MB", memory),
        Target(
            f"{name}: ImageJobs at a time", "at most", MAX_IMAGEJOBS, MAX_IMAGEJOBS, "", imagejobs
        ),
        Target(f"{name}: missing or repeated results", "at most", 0, 0, "", wrong),
    ]


def last_tenth_to_first(found: LargeBatch) -> float:
    """Return the rate of the last tenth of the images divided by that of the first tenth."""
    rates = [rate for _, _, rate in stats.tenths(found.counted)]
    return rates[-1] / rates[0]


def _size(run: Run | None) -> int:
    seen = run.select(VISION_NODE, BATCH, METADATA) if run else []
    return seen[0].images if seen else 2000


def to_http(run: Run | None, load: str, describer: str) -> Spread | None:
    """Return the rate of a batch, divided by Celery's best rate through HTTP in the same round."""
    if run is None:
        return None
    ours = run.select(VISION_NODE, load, describer)
    return stats.ratio(ours, best_through_http(run, describer), stats.throughput)


def _to_disk(run: Run | None, describer: str) -> Spread | None:
    if run is None:
        return None
    ours, theirs = (
        run.select(VISION_NODE, BATCH, describer),
        run.select(CELERY, FROM_DISK, describer),
    )
    return stats.ratio(ours, theirs, stats.throughput)


def _beside(run: Run | None) -> Spread | None:
    if run is None:
        return None
    beside, alone = (run.select(VISION_NODE, load, METADATA) for load in (BESIDE_BATCH, ONE))
    return stats.ratio(beside, alone, stats.p50)


def _over_rounds(run: Run | None, load: str, value: Callable[[Sample], float]) -> Spread | None:
    return stats.over_rounds(run.select(VISION_NODE, load, METADATA), value) if run else None
