"""Write the report's sections about costs: per image, while idle, and with 10,000 ImageJobs."""

import itertools
from collections.abc import Iterable, Sequence

from bench import stats
from bench.plan import BATCH, BESIDE_BATCH, EIGHT, METADATA, NOTHING, UPLOAD_LOADS
from bench.report.tables import Row, number, table
from bench.report.targets import MEGABYTE
from bench.results import CELERY, CELERY_PREFIX, DRIVER, SYSTEMS, VISION_NODE, Backlog, Run, Sample

MIN_SHOWN = 0.1
"""Minimum CPU time, in milliseconds per image or percent of a core. Rows below it are omitted."""

TENTHS = 10
"""Number of parts of a backlog for which the report shows separate throughputs."""

Cost = dict[str, float]
"""CPU-milliseconds by component."""


def per_image(run: Run) -> str:
    """Return the section about the CPU time and the etcd storage that an image needs."""
    columns = [
        (f"{system}, {describer}", run.select(system, EIGHT, describer))
        for system in SYSTEMS
        for describer in (METADATA, NOTHING)
    ]

    return "\n\n".join(
        [
            "## What an image costs",
            "CPU-milliseconds per image with 8 clients, minus the use while the system is idle.",
            by_component(run, columns),
            _writes(run),
        ]
    )


def by_component(run: Run, columns: Iterable[tuple[str, Sequence[Sample]]]) -> str:
    """Return a table of the CPU time of each component per image.

    Each column has a title and samples. Columns without samples are omitted.
    """
    columns = [(title, samples) for title, samples in columns if samples]

    costs = [[above_idle(run, sample) for sample in samples] for _, samples in columns]
    rows = [(name, *(number(_of(name, column)) for column in costs)) for name in _by_weight(costs)]

    total = (
        "total",
        *(number(stats.spread(sum(cost.values()) for cost in column)) for column in costs),
    )

    return table(("", *(title for title, _ in columns)), [*rows, total])


def above_idle(run: Run, sample: Sample) -> Cost:
    """Return the CPU time per image of each component of the measured system.

    The CPU time that a component uses while it is idle is subtracted.
    """
    return {
        name.removeprefix(CELERY_PREFIX): 1000
        * max(0.0, seconds - run.idle_cores.get(name, 0.0) * sample.seconds)
        / sample.images
        for name, seconds in sample.cpu_seconds.items()
        if name != DRIVER and name.startswith(CELERY_PREFIX) == (sample.system == CELERY)
    }


def _of(name: str, column: Iterable[Cost]) -> stats.Spread | None:
    return stats.spread(cost[name] for cost in column if name in cost)


def _by_weight(columns: Iterable[Sequence[Cost]]) -> list[str]:
    """Return the components that cost at least MIN_SHOWN, sorted by cost in the first column."""
    most = [
        {name: max(cost.get(name, 0.0) for cost in column) for cost in column for name in cost}
        for column in columns
    ]
    names = {name for column in most for name, value in column.items() if value >= MIN_SHOWN}
    return sorted(names, key=lambda name: [-column.get(name, 0.0) for column in most])


def _writes(run: Run) -> str:
    samples = [
        sample
        for sample in run.samples
        if sample.system == VISION_NODE and sample.load not in {BATCH, BESIDE_BATCH, *UPLOAD_LOADS}
    ]
    images = sum(sample.images for sample in samples)
    conflicts = sum(sample.conflicts for sample in samples)
    size = number(stats.spread(run.imagejob_bytes))

    return (
        f"A finished ImageJob takes {size} bytes in etcd. For {images:,} images, {conflicts:g} "
        f"writes were repeated because of conflicts, and {run.turned_away} submissions were "
        "repeated because they were rejected at first."
    )


def idle(run: Run) -> str:
    """Return the section about the CPU use of the idle system."""
    shares = {name: 100 * cores for name, cores in run.idle_cores.items() if name != DRIVER}
    names = sorted(shares, key=shares.__getitem__, reverse=True)
    rows = [(name, f"{shares[name]:.1f} %") for name in names if shares[name] >= MIN_SHOWN]
    return "## CPU use while idle\n\nNo workers are running.\n\n" + table(("", "of a core"), rows)


def backlog(found: Backlog) -> str:
    """Return the section about throughput, memory and storage with many ImageJobs."""
    large = found.large
    small = number(stats.spread(drain.images_per_second for drain in found.small))
    return "\n\n".join(
        [
            f"## {large.images:,} ImageJobs",
            "The ImageJobs were submitted while the operator was stopped, and then processed by a "
            f"describer that does nothing. The throughput was {large.images_per_second:.0f} "
            f"images/s, compared to {small} images/s with a backlog of {found.small[0].images}. "
            f"The first job was done {large.first_done:.1f} s after the operator was restarted.",
            table(("completed ImageJobs", "images/s"), _tenths(large.done)),
            f"With all ImageJobs and the history of their writes, etcd's database occupies "
            f"{found.database_bytes / MEGABYTE:.0f} MB. An ImageJob takes "
            f"{number(stats.spread(found.imagejob_bytes))} bytes.",
            "Memory in megabytes, by number of ImageJobs. While the operator processed them, its "
            f"peak was {found.operator_peak_bytes / MEGABYTE:.0f} MB.",
            _memory(found.memory),
        ]
    )


def _memory(memory: dict[str, dict[str, int]]) -> str:
    counts = sorted(memory, key=int)
    names = sorted({name for found in memory.values() for name in found})
    rows = [
        (name, *(f"{memory[count].get(name, 0) / MEGABYTE:.0f}" for count in counts))
        for name in names
    ]
    return table(("", *(f"{int(count):,}" for count in counts)), rows)


def _tenths(curve: Sequence[tuple[float, int]]) -> list[Row]:
    """Return the throughput of each part of a backlog.

    Each point of `curve` is a time in seconds and the number of jobs completed by then.
    """
    marks = [*curve[:: max(1, len(curve) // TENTHS)][:TENTHS], curve[-1]]
    return [
        (f"{first:,} – {last:,}", f"{(last - first) / (end - begin):.0f}")
        for (begin, first), (end, last) in itertools.pairwise(marks)
        if end > begin
    ]
