"""The report's text. Pure."""

import itertools
from collections.abc import Callable, Iterable, Sequence

from bench import bars, stats
from bench.bars import MEGABYTE, Bar
from bench.plan import (
    BURST,
    BURST_CONNECTIONS,
    CAPACITY_SHARE,
    EIGHT,
    LIST_SECONDS,
    METADATA,
    NOTHING,
    ONE,
    ONE_POLL_SECONDS,
    POISSON,
    POLL_SECONDS,
    THIRTY_TWO,
)
from bench.results import (
    CELERY,
    CELERY_PREFIX,
    DRIVER,
    SYSTEMS,
    VISION_NODE,
    Backlog,
    Machine,
    Run,
    Sample,
)
from bench.stats import Spread

MARKS = {"beyond": "✓ and beyond", "reached": "✓", "missed": "✗", "not measured": "–"}
TITLES = {METADATA: "1080p photographs", NOTHING: "Dispatch alone: a describer that does nothing"}
WORTH_TELLING = 0.1
"""CPU-milliseconds per image; components that never reach it have no row."""

DRAWN_OUT = 10
"""Parts of a backlog whose throughput is told."""

Value = Callable[[Sample], float]
Row = tuple[str, ...]


def markdown(run: Run | None, backlog: Backlog | None) -> str:
    """The whole page."""
    parts = [_head(run), _targets(bars.judge(run, backlog))]
    if run:
        parts += [_speed(run, METADATA), _speed(run, NOTHING), _cost(run), _idle(run)]
    if backlog:
        parts.append(_many(backlog))
    if run:
        parts.append(_method(run))
    return "\n\n".join(parts) + "\n"


def _head(run: Run | None) -> str:
    quick = "\n\n**A quick run, to look at: too few samples to quote.**" if run and run.machine.quick else ""
    return (
        "# Benchmark\n\n"
        "vision-node, the classic design (FastAPI, SQLite, Redis and Celery) and one Kubernetes Job per "
        "image, taking turns in one run on the same cores. `make bench` measures all this anew; values are "
        "medians of the rounds, with the least and the greatest in brackets." + quick + "\n\n"
        "![Latency, throughput and CPU time per image](benchmark.svg)"
    )


def _targets(judged: Sequence[Bar]) -> str:
    rows = [
        (bar.what, f"{_number(bar.measured)} {bar.unit}".strip(), _limit(bar), MARKS[bar.verdict])
        for bar in judged
    ]
    return "## Targets\n\n" + table(("", "measured", "target (beyond)", ""), rows)


def _limit(bar: Bar) -> str:
    sign = "≤" if bar.direction == "at most" else "≥"
    beyond = f" ({bar.beyond:g})" if bar.beyond != bar.target else ""
    return f"{sign} {bar.target:g}{beyond}"


def _speed(run: Run, describer: str) -> str:
    systems = [system for system in SYSTEMS if run.select(system, EIGHT, describer)]
    burst = max((sample.images for sample in run.select(VISION_NODE, BURST, describer)), default=0)
    lines: list[tuple[str, str, Value]] = [
        ("1 client: submit → done, p50, ms", ONE, _milliseconds(stats.p50)),
        ("8 clients: images/s", EIGHT, stats.throughput),
        ("8 clients: p50, ms", EIGHT, _milliseconds(stats.p50)),
        ("32 clients: images/s", THIRTY_TWO, stats.throughput),
        ("32 clients: p50, ms", THIRTY_TWO, _milliseconds(stats.p50)),
        (f"Poisson at {CAPACITY_SHARE:.0%} of capacity: images/s", POISSON, lambda sample: sample.per_second),
        *((f"Poisson: p{share * 100:.0f}, ms", POISSON, _percentile(share)) for share in (0.5, 0.95, 0.99)),
        (f"burst of {burst}: last one done, s", BURST, stats.duration),
    ]
    rows = [
        (title, *(_number(stats.over_rounds(run.select(name, load, describer), value)) for name in systems))
        for title, load, value in lines
    ]
    return f"## {TITLES[describer]}\n\n" + table(("", *systems), rows)


def _milliseconds(value: Value) -> Value:
    return lambda sample: 1000 * value(sample)


def _percentile(share: float) -> Value:
    return lambda sample: 1000 * stats.percentile(sample.latencies, share)


def _cost(run: Run) -> str:
    columns = [
        (f"{system}, {describer}", run.select(system, EIGHT, describer))
        for system in SYSTEMS
        for describer in (METADATA, NOTHING)
    ]
    columns = [(title, samples) for title, samples in columns if samples]
    costs = [[_above_idle(run, sample) for sample in samples] for _, samples in columns]
    rows = [
        (name, *(_number(stats.spread(cost[name] for cost in column if name in cost)) for column in costs))
        for name in _by_weight(costs)
    ]
    total = ("in all", *(_number(stats.spread(sum(cost.values()) for cost in column)) for column in costs))
    return "\n\n".join(
        [
            "## What an image costs",
            "CPU-milliseconds per image with 8 clients, above what a component uses when nothing is asked.",
            table(("", *(title for title, _ in columns)), [*rows, total]),
            _size(run),
        ]
    )


def _above_idle(run: Run, sample: Sample) -> dict[str, float]:
    """CPU-milliseconds per image of the components that belong to the system."""
    return {
        name.removeprefix(CELERY_PREFIX): 1000
        * max(0.0, seconds - run.idle_cores.get(name, 0.0) * sample.seconds)
        / sample.images
        for name, seconds in sample.cpu_seconds.items()
        if name != DRIVER and name.startswith(CELERY_PREFIX) == (sample.system == CELERY)
    }


def _by_weight(costs: Iterable[Sequence[dict[str, float]]]) -> list[str]:
    """The components that cost something, the dearest first, as the first column has them."""
    columns = [
        {name: max(cost.get(name, 0.0) for cost in column) for name in _names(column)} for column in costs
    ]
    names = {name for column in columns for name, most in column.items() if most >= WORTH_TELLING}
    return sorted(names, key=lambda name: [-column.get(name, 0.0) for column in columns])


def _names(costs: Iterable[dict[str, float]]) -> set[str]:
    return {name for cost in costs for name in cost}


def _size(run: Run) -> str:
    samples = [sample for sample in run.samples if sample.system == VISION_NODE]
    images = sum(sample.images for sample in samples)
    conflicts = sum(sample.conflicts for sample in samples)
    size = stats.spread(run.imagejob_bytes)
    return (
        f"A finished ImageJob takes {_number(size)} bytes in etcd. Of {images:,} images' writes, "
        f"{conflicts:g} met a conflict and were decided anew."
    )


def _idle(run: Run) -> str:
    names = sorted(run.idle_cores, key=run.idle_cores.__getitem__, reverse=True)
    rows = [(name, f"{100 * run.idle_cores[name]:.2f} %") for name in names]
    return "## When nothing is asked\n\n" + table(("", "of a core"), rows)


def _many(backlog: Backlog) -> str:
    counts = sorted(backlog.memory, key=int)
    names = sorted({name for memory in backlog.memory.values() for name in memory})
    memory = [
        (name, *(f"{backlog.memory[count].get(name, 0) / MEGABYTE:.0f}" for count in counts))
        for name in names
    ]
    small = stats.spread(drain.images_per_second for drain in backlog.small)
    size = stats.spread(backlog.imagejob_bytes)
    large = backlog.large
    return "\n\n".join(
        [
            f"## {large.images:,} ImageJobs",
            f"Submitted while the operator was away, then worked off by describers that do nothing: "
            f"{large.images_per_second:.0f} images/s, against {_number(small)} from a backlog of "
            f"{backlog.small[0].images}. The first was done {large.first_done:.1f} s after the operator was "
            "called back.",
            table(("done", "images/s"), _tenths(backlog)),
            f"etcd: {backlog.database_bytes / MEGABYTE:.0f} MB with all of them and the history of their "
            f"writes; {_number(size)} bytes per ImageJob.",
            "Memory in megabytes, by number of ImageJobs. At most, while it worked them off, the operator "
            f"had {backlog.operator_peak_bytes / MEGABYTE:.0f} MB.",
            table(("", *(f"{int(count):,}" for count in counts)), memory),
        ]
    )


def _tenths(backlog: Backlog) -> list[Row]:
    """Throughput of each part of the large backlog."""
    curve = backlog.large.done
    step = max(1, len(curve) // DRAWN_OUT)
    marks = curve[::step]
    return [
        (f"{first:,} – {last:,}", f"{(last - first) / (end - begin):.0f}")
        for (begin, first), (end, last) in itertools.pairwise(marks)
        if end > begin
    ]


def _method(run: Run) -> str:
    machine = run.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return "\n".join(
        [
            "## How it was measured\n",
            f"- {machine.started}, {machine.processor}, {machine.cores} cores; {_cores(machine)}",
            f"- {versions}; this system at {machine.commit or 'an unknown commit'}.",
            f"- {_driver(run)}",
            f"- {_others(run)}",
            "- Both queues have two workers and the same describer code. vision-node's are two describer "
            "Jobs that hold up to four images each; Celery's are two processes with late acknowledgement "
            "and a prefetch of one. While one system is measured, the other idles on the same cores.",
            "- Celery's side is as fast as that design is when it is well set up: images as files on the "
            "local disk, SQLite with a write-ahead log and its default durability, a Redis that never writes "
            "to disk, no containers and no TLS. vision-node writes every image to MinIO, every step to etcd.",
            "- One Job per image uses the workers' own pod and image; its Jobs read one object that is in "
            "MinIO already, and print the description. Bursts and arrivals are not run: at its pace they "
            "would take minutes.",
            f"- One client polls every {1000 * ONE_POLL_SECONDS:.0f} ms, 8 and 32 clients every "
            f"{1000 * POLL_SECONDS:.0f} ms. A burst is submitted over {BURST_CONNECTIONS} connections and "
            f"watched through one list, every {1000 * LIST_SECONDS:.0f} ms: of unfinished ImageJobs from the "
            "API server, of unfinished rows from the classic design's API.",
            f"- The photographs: {len(run.picture_bytes)} of 1920 × 1080 pixels, "
            f"{_number(stats.spread(size / 1000 for size in run.picture_bytes))} kB as JPEG.",
        ]
    )


def _cores(machine: Machine) -> str:
    if machine.driver_apart:
        return f"both systems kept to the same {machine.system_cores}, the load driver to the others."
    return "which both systems and the load driver share."


def _driver(run: Run) -> str:
    most = max((s.cpu_seconds.get(DRIVER, 0.0) / s.seconds for s in run.samples), default=0.0)
    return f"The load driver is a process of its own; it never used more than {most:.0%} of one core."


def _others(run: Run) -> str:
    found = stats.spread(sample.others_cores for sample in run.samples)
    return f"Other programs of the machine used {_number(found)} of the systems' cores meanwhile."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; numbers to the right."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(found: Spread | None) -> str:
    """A median with its spread, to three digits."""
    if found is None:
        return "–"
    if found.least == found.greatest:
        return digits(found.median)
    return f"{digits(found.median)} [{digits(found.least)} – {digits(found.greatest)}]"


def digits(value: float) -> str:
    """Three significant digits, and no more than are there; thousands are whole."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
