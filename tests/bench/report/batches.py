"""Write the report's sections about batches: 2,000 photographs, and 100,000 images or more."""

from collections.abc import Sequence

from bench import stats
from bench.plan import (
    BATCH,
    BESIDE_BATCH,
    FROM_BUCKET,
    FROM_DISK,
    METADATA,
    NOTHING,
    ONE,
    UPLOAD_LOADS,
)
from bench.report import costs
from bench.report.batch_targets import best_through_http, to_http
from bench.report.tables import Row, digits, number, table
from bench.report.targets import MEGABYTE
from bench.results import CELERY, VISION_NODE, LargeBatch, Run, Sample
from bench.stats import Spread

KILOBYTE = 1e3

COLUMNS = (
    ("vision-node, batch", VISION_NODE, BATCH),
    ("Celery, files on its disk", CELERY, FROM_DISK),
    ("Celery, objects in MinIO", CELERY, FROM_BUCKET),
)


def photographs(run: Run) -> str:
    """Return the section about batches of photographs, or an empty string if there were none."""
    if not run.select(VISION_NODE, BATCH, METADATA):
        return ""

    return "\n\n".join(
        [
            f"## A batch of {run.select(VISION_NODE, BATCH, METADATA)[0].images:,} photographs",
            "One ImageBatch names photographs in MinIO. The time is from its creation until it is "
            "complete. Celery gets one task for each photograph, which names a file on its own "
            "disk or an object in the same MinIO, so no image goes through its HTTP API; the last "
            "column is its best rate through the HTTP API, with 8 or 32 clients.",
            _rates(run),
            _beside(run),
            "CPU-milliseconds per image of a batch, minus the use while the system is idle.",
            _costs(run),
        ]
    )


def _rates(run: Run) -> str:
    rows: list[Row] = []
    for describer in (METADATA, NOTHING):
        found = [
            stats.over_rounds(run.select(system, load, describer), stats.throughput)
            for _, system, load in COLUMNS
        ]
        http = stats.over_rounds(best_through_http(run, describer), stats.throughput)
        rows.append((f"images/s, describer `{describer}`", *map(number, [*found, http])))

    return table(("", *(title for title, _, _ in COLUMNS), "Celery, HTTP"), rows)


def _beside(run: Run) -> str:
    first = number(stats.spread(run.first_result_seconds))
    beside, alone = (_p50(run.select(VISION_NODE, load, METADATA)) for load in (BESIDE_BATCH, ONE))
    return (
        f"The API returned the first result {first} s after the ImageBatch was created. While a "
        "batch kept all workers busy, a single client's images were done after "
        f"{number(beside)} ms (p50), compared to {number(alone)} ms without a batch."
    )


def _p50(samples: Sequence[Sample]) -> Spread | None:
    return stats.over_rounds(samples, lambda sample: 1000 * stats.p50(sample))


def _costs(run: Run) -> str:
    columns = [
        (f"{title}, {describer}", run.select(system, load, describer))
        for title, system, load in COLUMNS
        for describer in (METADATA, NOTHING)
    ]
    return costs.by_component(run, columns)


def uploaded(run: Run) -> str:
    """Return the section about uploaded photographs, or an empty string if there were none."""
    samples = [run.select(VISION_NODE, load, METADATA) for load in UPLOAD_LOADS]
    if not all(samples):
        return ""

    columns = [
        (f"vision-node, {load}", run.select(VISION_NODE, load, METADATA)) for load in UPLOAD_LOADS
    ]
    return "\n\n".join(
        [
            f"## {samples[0][0].images:,} photographs in one request",
            "One request to `POST /batches` contains all photographs, as a form or as a tar "
            "stream. The time is from its first byte until the ImageBatch is complete. Celery's "
            "rate is its best one through its HTTP API in the same round, with 8 or 32 clients.",
            table(
                ("", "images/s", "× Celery, HTTP", "s until complete", "s for the upload alone"),
                [_upload(run, load) for load in UPLOAD_LOADS],
            ),
            "CPU-milliseconds per image, minus the use while the system is idle.",
            costs.by_component(run, [*columns, ("Celery, HTTP", best_through_http(run, METADATA))]),
        ]
    )


def _upload(run: Run, load: str) -> Row:
    samples = run.select(VISION_NODE, load, METADATA)
    alone = stats.over_rounds(samples, lambda sample: sample.upload_seconds)
    found = [
        stats.over_rounds(samples, stats.throughput),
        to_http(run, load, METADATA),
        stats.over_rounds(samples, stats.duration),
        alone,
    ]
    return (load, *map(number, found))


def large(found: LargeBatch) -> str:
    """Return the section about a large batch."""
    about = found.machine
    quick = " This was a quick run." if about.quick else ""
    return "\n\n".join(
        [
            f"## A batch of {found.images:,} images",
            "One ImageBatch, whose manifest names a few thumbnails repeatedly, with a describer "
            f"that does nothing. All images were described after {digits(found.seconds)} s, which "
            f"is {digits(found.images_per_second)} images/s; the manifest was frozen after "
            f"{digits(found.manifest_seconds)} s. The run started at {about.started}; "
            f"vision-node at {about.commit or 'an unknown commit'}.{quick}",
            table(("images", "images/s"), _tenths(found)),
            f"The ImageBatch had at most {found.batch_bytes / KILOBYTE:.1f} kB, and there were at "
            f"most {found.imagejobs} ImageJobs at a time. All results "
            f"({found.results_bytes / MEGABYTE:.0f} MB) were read through the API in "
            f"{digits(found.results_seconds)} s: {found.missing} were missing and {found.repeated} "
            f"repeated. After {digits(found.deleted_seconds)} s, the ImageBatch and its shards "
            "were deleted.",
            "Memory in megabytes, before the ImageBatch was created and at most, and "
            "CPU-milliseconds per image.",
            table(("", "before", "at most", "CPU-ms per image"), _components(found)),
        ]
    )


def _tenths(found: LargeBatch) -> list[Row]:
    return [
        (f"{first:,} – {last:,}", f"{rate:.0f}")
        for first, last, rate in stats.tenths(found.counted)
    ]


def _components(found: LargeBatch) -> list[Row]:
    return [
        (
            name,
            f"{found.memory_before.get(name, 0) / MEGABYTE:.0f}",
            f"{found.memory[name] / MEGABYTE:.0f}",
            digits(1000 * found.cpu_seconds.get(name, 0.0) / found.images),
        )
        for name in sorted(found.memory)
    ]
