"""Write the Markdown page of the benchmark report."""

from collections.abc import Callable, Sequence

from bench import stats
from bench.plan import (
    BURST,
    CAPACITY_SHARE,
    EIGHT,
    METADATA,
    NOTHING,
    ONE,
    POISSON,
    THIRTY_TWO,
    WAITING,
)
from bench.report import batch_targets, batches, costs, history, method, targets
from bench.report.tables import Row, number, table
from bench.report.targets import Target
from bench.results import SYSTEMS, Backlog, HistoryEffect, LargeBatch, Run, Sample

MARKS = {"beyond": "✓ and beyond", "reached": "✓", "missed": "✗", "not measured": "–"}
TITLES = {
    METADATA: "1080p photographs",
    NOTHING: "Dispatch only, with a describer that does nothing",
}

HEAD = (
    "# Benchmark\n\n"
    "This page compares vision-node with the classic design (FastAPI, SQLite, Redis and Celery) "
    "and with one Kubernetes Job per image. All systems were measured in turn on the same cores. "
    "Use `make bench`, `make bench-backlog`, `make bench-batch` and `make bench-history-cluster` "
    "to repeat the measurements. "
    "Values are medians of the rounds, with minimum and maximum in brackets.\n\n"
    "![Latency and throughput](benchmark.svg)"
)

Value = Callable[[Sample], float]


def markdown(
    run: Run | None,
    backlog: Backlog | None,
    large: Sequence[LargeBatch] = (),
    effect: HistoryEffect | None = None,
) -> str:
    """Return the page with all sections for which results are available."""
    parts = [HEAD]
    if run and (warning := method.warning(run)):
        parts.append(warning)

    judged = [
        *targets.judge(run, backlog),
        *batch_targets.judge(run, large),
        *history.judge(run, effect),
    ]
    parts += ["## Targets", targets_table(judged)]
    if run:
        parts += [
            _speed(run, METADATA),
            _speed(run, NOTHING),
            costs.per_image(run),
            history.per_image(run),
            batches.photographs(run),
            batches.uploaded(run),
            costs.idle(run),
        ]

    if backlog:
        parts.append(costs.backlog(backlog))

    parts += [batches.large(found) for found in large]
    if effect:
        parts.append(history.large(effect))
    if run:
        parts.append(method.describe(run))

    return "\n\n".join(part for part in parts if part) + "\n"


def targets_table(judged: Sequence[Target]) -> str:
    """Return a table of targets with the measured values and the outcomes."""
    rows = [
        (
            target.title,
            f"{number(target.measured)} {target.unit}".strip(),
            _limit(target),
            MARKS[target.outcome],
        )
        for target in judged
    ]
    return table(("", "measured", "target (beyond)", ""), rows)


def _limit(target: Target) -> str:
    sign = "≤" if target.direction == "at most" else "≥"
    beyond = f" ({target.beyond:g})" if target.beyond != target.value else ""
    return f"{sign} {target.value:g}{beyond}"


def _speed(run: Run, describer: str) -> str:
    systems = [system for system in SYSTEMS if run.select(system, EIGHT, describer)]
    lines: list[tuple[str, str, Value]] = [
        ("1 client: time until done, p50, ms", ONE, _percentile(0.5)),
        ("1 client that waits: time until the result, p50, ms", WAITING, _percentile(0.5)),
        ("8 clients: images/s", EIGHT, stats.throughput),
        ("8 clients: time until done, p50, ms", EIGHT, _percentile(0.5)),
        ("32 clients: images/s", THIRTY_TWO, stats.throughput),
        ("32 clients: time until done, p50, ms", THIRTY_TWO, _percentile(0.5)),
        (
            f"Poisson at {CAPACITY_SHARE:.0%} of capacity: images/s",
            POISSON,
            lambda sample: sample.per_second,
        ),
        *(
            (f"Poisson: time until done, p{share * 100:.0f}, ms", POISSON, _percentile(share))
            for share in (0.5, 0.95, 0.99)
        ),
        (
            f"burst of {targets.burst_size(run, describer)}: time until all are done, s",
            BURST,
            stats.duration,
        ),
    ]
    rows: list[Row] = [
        (
            title,
            *(
                number(stats.over_rounds(run.select(name, load, describer), value))
                for name in systems
            ),
        )
        for title, load, value in lines
    ]

    return f"## {TITLES[describer]}\n\n" + table(("", *systems), rows)


def _percentile(share: float) -> Value:
    """Return a function that returns a latency percentile of a sample in milliseconds."""
    return lambda sample: 1000 * stats.percentile(sample.latencies, share)
