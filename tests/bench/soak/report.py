"""Write the report of a soak test as Markdown with a chart."""

from collections.abc import Callable
from pathlib import Path

from bench import stats
from bench.errors import BenchError
from bench.report.generated_section import replace_section
from bench.report.tables import digits, table
from bench.soak import curves
from bench.soak.flatness import MEGABYTE
from bench.soak.judge import Bar, curve, judge, memory_curve, window_of
from bench.soak.results import COMPONENTS, HISTORY_COMPONENTS, Reading, Soak

CHART = "soak.svg"
MARKS = {True: "✓", False: "✗", None: "–"}
VERSIONS = ("Kubernetes", "Python")


def write(repository: Path, soak: Soak, *, to_docs: bool) -> Path:
    """Write soak.md and soak.svg to build/bench/ or docs/, and return the page's path.

    In docs/, only the generated section of the page is replaced.
    """
    folder = repository / ("docs" if to_docs else "build/bench")
    page, text = folder / "soak.md", figures(soak)
    folder.mkdir(parents=True, exist_ok=True)

    if to_docs:
        replace_section(page, "soak", text)
    else:
        page.write_text(f"# Soak test\n\n{text}")

    (folder / CHART).write_text(curves.draw(soak))
    return page


def require_reached(soak: Soak) -> None:
    """Check that no bar is missed.

    Raises:
        BenchError: Bars are missed. The error has a sentence for each of them.
    """
    missed = [bar.sentence for bar in judge(soak) if bar.reached is False]
    if missed:
        raise BenchError("\n".join(f"soak: {sentence}." for sentence in missed))


def figures(soak: Soak) -> str:
    """Return the results as Markdown."""
    parts = [
        _warning(soak),
        _summary(soak),
        f"![The curves of the soak test]({CHART})",
        _window(soak),
        _bars(judge(soak)),
        _memory(soak),
        _etcd(soak),
        _history(soak),
        _problems(soak),
        _machine(soak),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _warning(soak: Soak) -> str:
    return "**Do not quote these numbers: this was a quick run.**" if soak.quick else ""


def _summary(soak: Soak) -> str:
    retries = soak.tally.retries
    repeated = ", ".join(f"{count:,} because of {name}" for name, count in sorted(retries.items()))
    rate = soak.tally.done / soak.load_seconds if soak.load_seconds else 0.0
    evicted = (
        f"Everything was evicted {soak.evicted_seconds:.0f} s after the last image was done."
        if soak.evicted_seconds is not None
        else "Not everything was evicted at the end."
    )

    return (
        f"{soak.clients} clients submitted {soak.images:,} images to the describer `nothing`. Each "
        f"finished ImageJob stayed in etcd for up to {soak.imagejob_seconds} s. This took "
        f"{soak.load_seconds / 60:.1f} minutes, {digits(rate)} images/s. Requests that were "
        f"repeated: {repeated or 'none'}. {evicted}"
    )


def _window(soak: Soak) -> str:
    window = window_of(soak)
    if window is None:
        return "The load was too short to tell whether a curve rises."
    return (
        f"Curves are judged from minute {window.start / 60:.1f} to {window.end / 60:.1f} (shaded), "
        "the end of the load (dashed line)."
    )


def _bars(bars: list[Bar]) -> str:
    rows = [(bar.title, bar.measured, bar.limit, MARKS[bar.reached]) for bar in bars]
    return table(("", "measured", "bar", ""), rows)


def _memory(soak: Soak) -> str:
    rows = []
    for component in COMPONENTS:
        memory = [value / MEGABYTE for _, value in memory_curve(soak, component)]
        working = [sample.reading.working_set.get(component, 0) for sample in soak.samples]
        if spread := stats.spread(memory):
            values = (memory[0], spread.median, spread.greatest, max(working) / MEGABYTE)
            rows.append((component, *(digits(value) for value in values)))

    head = ("memory in MB", "at the start", "median", "peak", "peak with active file pages")
    return table(head, rows) if rows else ""


def _etcd(soak: Soak) -> str:
    rows = [
        (moment, digits(size.total_bytes / MEGABYTE), digits(size.in_use_bytes / MEGABYTE))
        for moment, size in soak.etcd.items()
    ]
    total = _peak(soak, lambda reading: reading.etcd.total_bytes)
    in_use = _peak(soak, lambda reading: reading.etcd.in_use_bytes)
    rows.append(("peak", total, in_use))
    return table(("etcd's database in MB", "file", "in use"), rows)


def _history(soak: Soak) -> str:
    """Return what PostgreSQL and the archiver needed for the images."""
    rows = []
    if soak.found and soak.found.acknowledged:
        size = soak.found.database_bytes
        per_image = size / soak.found.acknowledged
        rows.append(("PostgreSQL's database: MB in all", digits(size / MEGABYTE)))
        rows.append(("PostgreSQL's database: bytes per image", digits(per_image)))

    rows += [
        (f"CPU time of {component}: ms per image", digits(milliseconds))
        for component in HISTORY_COMPONENTS
        if (milliseconds := cpu_per_image(soak, component)) is not None
    ]

    return table(("history", ""), rows) if rows else ""


def cpu_per_image(soak: Soak, component: str) -> float | None:
    """Return a component's CPU time in milliseconds per image; None if it is unknown.

    It contains what the component used until everything was evicted.
    """
    used = [it.reading.cpu_seconds[component] for it in soak.samples if it.reading.cpu_seconds]
    if len(used) < 2 or not soak.tally.done:
        return None
    return 1000 * (used[-1] - used[0]) / soak.tally.done


def _peak(soak: Soak, value: Callable[[Reading], float]) -> str:
    return digits(max((found for _, found in curve(soak, value)), default=0.0) / MEGABYTE)


def _problems(soak: Soak) -> str:
    if not soak.tally.messages:
        return ""
    lines = [f"- `{message.replace('`', ' ')}`" for message in soak.tally.messages]
    return "\n".join(["The first problems:\n", *lines])


def _machine(soak: Soak) -> str:
    machine = soak.machine
    versions = ", ".join(f"{name} {machine.versions.get(name, '?')}" for name in VERSIONS)
    return (
        f"The run started at {machine.started} on a machine with {machine.cores} cores "
        f"({machine.processor}), {machine.system_cores} of them for the cluster. {versions}; "
        f"vision-node at {machine.commit or 'an unknown commit'}."
    )
