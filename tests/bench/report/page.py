"""The report's text. Pure."""

from collections.abc import Callable, Sequence

from bench import stats
from bench.plan import BURST, CAPACITY_SHARE, EIGHT, METADATA, NOTHING, ONE, POISSON, THIRTY_TWO
from bench.report import bars, costs, method
from bench.report.bars import Bar
from bench.report.tables import Row, number, table
from bench.results import SYSTEMS, Backlog, Run, Sample

MARKS = {"beyond": "✓ and beyond", "reached": "✓", "missed": "✗", "not measured": "–"}
TITLES = {METADATA: "1080p photographs", NOTHING: "Dispatch alone: a describer that does nothing"}

HEAD = (
    "# Benchmark\n\n"
    "vision-node, the classic design (FastAPI, SQLite, Redis and Celery) and one Kubernetes Job "
    "per image, measured in turn on the same cores. `make bench` and `make bench-backlog` repeat "
    "all measurements. Values are medians of the rounds, with minimum and maximum in brackets.\n\n"
    "![Latency and throughput](benchmark.svg)"
)

Value = Callable[[Sample], float]


def markdown(run: Run | None, backlog: Backlog | None) -> str:
    """Return the whole page for the available results."""
    parts = [HEAD]
    if run and (warning := method.warning(run)):
        parts.append(warning)

    parts.append(_targets(bars.judge(run, backlog)))
    if run:
        parts += [
            _speed(run, METADATA),
            _speed(run, NOTHING),
            costs.per_image(run),
            costs.idle(run),
        ]

    if backlog:
        parts.append(costs.backlog(backlog))

    if run:
        parts.append(method.describe(run))

    return "\n\n".join(parts) + "\n"


def _targets(judged: Sequence[Bar]) -> str:
    rows = [
        (bar.what, f"{number(bar.measured)} {bar.unit}".strip(), _limit(bar), MARKS[bar.outcome])
        for bar in judged
    ]
    return "## Targets\n\n" + table(("", "measured", "target (beyond)", ""), rows)


def _limit(bar: Bar) -> str:
    sign = "≤" if bar.direction == "at most" else "≥"
    beyond = f" ({bar.beyond:g})" if bar.beyond != bar.target else ""
    return f"{sign} {bar.target:g}{beyond}"


def _speed(run: Run, describer: str) -> str:
    systems = [system for system in SYSTEMS if run.select(system, EIGHT, describer)]
    lines: list[tuple[str, str, Value]] = [
        ("1 client: submit → done, p50, ms", ONE, _percentile(0.5)),
        ("8 clients: images/s", EIGHT, stats.throughput),
        ("8 clients: p50, ms", EIGHT, _percentile(0.5)),
        ("32 clients: images/s", THIRTY_TWO, stats.throughput),
        ("32 clients: p50, ms", THIRTY_TWO, _percentile(0.5)),
        (
            f"Poisson at {CAPACITY_SHARE:.0%} of capacity: images/s",
            POISSON,
            lambda sample: sample.per_second,
        ),
        *(
            (f"Poisson: p{share * 100:.0f}, ms", POISSON, _percentile(share))
            for share in (0.5, 0.95, 0.99)
        ),
        (f"burst of {bars.burst_size(run, describer)}: last one done, s", BURST, stats.duration),
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
    """Return a percentile in milliseconds."""
    return lambda sample: 1000 * stats.percentile(sample.latencies, share)
