"""Write the report of `make bench-uploads`."""

from pathlib import Path

from bench import stats
from bench.batch.upload_results import SimultaneousUploads, UploadTime
from bench.report.generated_section import replace_section
from bench.report.page import targets_table
from bench.report.tables import Row, digits, table
from bench.report.targets import MEGABYTE, Target

MAX_API_MB = 200.0
"""Target for the memory of an API process, in megabytes, however large the uploads are."""

MIN_SHOWN_MB = 1.0
"""Components that have less memory are not shown."""


def write(repository: Path, found: SimultaneousUploads, *, to_docs: bool) -> Path:
    """Write the report to docs/performance.md or build/bench/uploads.md; return its path."""
    text = figures(found)
    if to_docs:
        page = repository / "docs" / "performance.md"
        replace_section(page, "bench-uploads", text)
        return page

    page = repository / "build" / "bench" / "uploads.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"# Uploads\n\n{text}")
    return page


def figures(found: SimultaneousUploads) -> str:
    """Return the results as Markdown."""
    parts = [
        _warning(found),
        _summary(found),
        targets_table([judge(found)]),
        table(("", "images", "MB", "s", "MB/s"), map(_upload, found.uploads)),
        "Memory in megabytes, before the uploads and at most, and CPU-milliseconds per image.",
        table(("", "before", "at most", "CPU-ms per image"), _components(found)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def judge(found: SimultaneousUploads) -> Target:
    """Compare the API's memory with the target."""
    title = f"memory of the API, {len(found.uploads)} uploads of {found.size_mb:,} MB at once"
    most = found.memory.get("api")
    measured = None if most is None else stats.spread([most / MEGABYTE])
    return Target(title, "at most", MAX_API_MB, MAX_API_MB, "MB", measured)


def _warning(found: SimultaneousUploads) -> str:
    quick = "**Do not quote these numbers: this was a quick run with small uploads.**"
    return quick if found.machine.quick else ""


def _summary(found: SimultaneousUploads) -> str:
    about = found.machine
    rate = found.size_bytes / MEGABYTE / found.upload_seconds
    return (
        f"{len(found.uploads)} simultaneous requests to `POST /batches` uploaded {found.images:,} "
        f"photographs of 1920 × 1080 pixels ({found.size_bytes / MEGABYTE:,.0f} MB) in "
        f"{digits(found.upload_seconds)} s, which is {digits(rate)} MB/s. After "
        f"{digits(found.seconds)} s, a describer that does nothing had processed all of them. "
        f"{digits(found.emptied_seconds)} s later, the ImageBatches and all of their objects were "
        f"deleted. The run started at {about.started} on a machine with {about.cores} cores "
        f"({about.processor}), of which the system used {about.system_cores}; vision-node at "
        f"{about.commit or 'an unknown commit'}."
    )


def _upload(it: UploadTime) -> Row:
    size = it.size_bytes / MEGABYTE
    rate = size / it.seconds
    return it.kind, f"{it.images:,}", f"{size:,.0f}", digits(it.seconds), digits(rate)


def _components(found: SimultaneousUploads) -> list[Row]:
    return [
        (
            name,
            f"{found.memory_before.get(name, 0) / MEGABYTE:.0f}",
            f"{found.memory[name] / MEGABYTE:.0f}",
            digits(1000 * found.cpu_seconds.get(name, 0.0) / found.images),
        )
        for name in sorted(found.memory)
        if found.memory[name] >= MIN_SHOWN_MB * MEGABYTE
    ]
