"""Write the report of `make bench-history`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from bench import stats
from bench.history.plan import USUAL_ROWS
from bench.history.results import LIST, NAME, SEARCH, HistoryBench, Timing, WriteCost
from bench.report.generated_section import replace_section
from bench.report.method import BUSY_CORES
from bench.report.page import MARKS
from bench.report.tables import Row, digits, table
from bench.report.targets import Outcome

MAX_SEARCH_MS = 100.0
"""Target for the 95th percentile of each kind of search, in milliseconds."""

MAX_WRITE_MS = 1.5
"""Target for the CPU time of PostgreSQL and of the writer for a row, in milliseconds."""

MIN_BYTES = 1.0
"""Parts of tables that take fewer bytes per row are not shown."""


def write(repository: Path, found: HistoryBench, *, to_docs: bool) -> Path:
    """Write the report to docs/performance.md or build/bench/history.md; return its path."""
    text = figures(found)
    if to_docs:
        page = repository / "docs" / "performance.md"
        replace_section(page, "bench-history", text)
        return page

    page = repository / "build" / "bench" / "history.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"# History\n\n{text}")
    return page


def figures(found: HistoryBench) -> str:
    """Return the results as Markdown."""
    parts = [
        _warning(found),
        _summary(found),
        table(("", "measured", "target", ""), _targets(found)),
        "Times of searches and lists, in milliseconds. A page has 50 rows.",
        table(("", "owner", "page", "p50", "p95", "max", "rows per request"), _times(found)),
        "CPU time per row, in milliseconds, written to the filled tables:",
        table(("", "PostgreSQL", "writer", "total", "rows/s"), map(_cost, found.costs)),
        "Size, in bytes per row of the history:",
        table(("", "bytes"), _sizes(found)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def worst_search_ms(found: HistoryBench, *, cold: bool) -> float | None:
    """Return the highest 95th percentile of all kinds of searches; None without measurements."""
    timings = [it for it in found.timings if it.kind == SEARCH and _is_cold(it) == cold]
    return max((_ms(it, 0.95) for it in timings if it.seconds), default=None)


def worst_write_ms(found: HistoryBench) -> float | None:
    """Return the highest CPU time of all ways to write a row; None without measurements."""
    return max((sum(_per_row(it)) for it in found.costs if it.rows), default=None)


def outcome(found: HistoryBench, measured: float | None, limit: float) -> Outcome:
    """Compare a value with a target, which is for USUAL_ROWS rows or more."""
    if measured is None or found.rows < USUAL_ROWS:
        return "not measured"
    return "reached" if measured <= limit else "missed"


def _targets(found: HistoryBench) -> Iterator[Row]:
    values = (
        ("searches: p95 of the slowest kind", worst_search_ms(found, cold=False), MAX_SEARCH_MS),
        ("the same, after a restart", worst_search_ms(found, cold=True), MAX_SEARCH_MS),
        ("CPU time per row, in the most expensive way", worst_write_ms(found), MAX_WRITE_MS),
    )
    for title, measured, limit in values:
        value = "–" if measured is None else f"{digits(measured)} ms"
        yield title, value, f"≤ {limit:g}", MARKS[outcome(found, measured, limit)]


def _warning(found: HistoryBench) -> str:
    if found.rows < USUAL_ROWS:
        return f"**Do not quote these numbers: the targets are for {USUAL_ROWS:,} rows.**"
    if max(found.others_cores, default=0.0) > BUSY_CORES:
        return "**Do not quote these numbers: other programs kept the machine busy.**"
    return ""


def _summary(found: HistoryBench) -> str:
    return (
        f"A history of {found.rows:,} rows, a quarter of them images of batches, in PostgreSQL "
        f"{found.postgres} with the chart's settings, read with the API's code and written with "
        f"the archiver's. After a restart, nothing is in any cache. The run started at "
        f"{found.started} on a machine with {found.cores} cores ({found.processor}); vision-node "
        f"at {found.commit or 'an unknown commit'}. Other programs used up to "
        f"{digits(max(found.others_cores, default=0.0))} cores meanwhile."
    )


def _times(found: HistoryBench) -> Iterator[Row]:
    for it in sorted(found.timings, key=lambda it: (SEARCH, LIST, NAME).index(it.kind)):
        if not it.seconds:
            continue
        title = f"{it.title}, after a restart" if _is_cold(it) else it.title
        times = (digits(_ms(it, share)) for share in (0.5, 0.95, 1.0))
        owner = "one" if it.of_owner else "any"
        yield title, owner, str(it.page), *times, digits(it.found / len(it.seconds))


def _cost(cost: WriteCost) -> Row:
    served, wrote = _per_row(cost)
    rate = cost.rows / cost.seconds if cost.seconds else 0.0
    return cost.title, digits(served), digits(wrote), digits(served + wrote), digits(rate)


def _per_row(cost: WriteCost) -> tuple[float, float]:
    """Return the milliseconds of PostgreSQL and of the writer."""
    return (1000 * cost.server_seconds / cost.rows, 1000 * cost.writer_seconds / cost.rows)


def _sizes(found: HistoryBench) -> Iterable[Row]:
    for name, size in found.sizes.items():
        if size / found.rows >= MIN_BYTES:
            yield name, digits(size / found.rows)
    yield "**total**", digits(sum(found.sizes.values()) / found.rows)


def _is_cold(timing: Timing) -> bool:
    return timing.state == "after a restart"


def _ms(timing: Timing, share: float) -> float:
    return 1000 * stats.percentile(timing.seconds, share)
