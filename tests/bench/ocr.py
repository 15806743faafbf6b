"""Measure how accurately the describer `ocr` reads text, and what it costs on one core.

The results are written to build/bench/ocr.md and, with WRITE=1, also to the describer's page in
docs/.
"""

import json
import subprocess
import sys
from pathlib import Path

from printed import CONDITIONS, FONT_PIXELS, FONTS, SIZE

from bench import stats
from bench.measure.machine import processor
from bench.measure.ocr_measure import TIMES, Measured
from bench.report.generated_section import replace_section
from bench.report.page import MARKS
from bench.report.tables import digits, table

MAX_SECONDS = 1.0
"""Target for the 95th percentile of the reading time."""

MAX_MEGABYTES = 600.0
"""Target for the peak memory."""


def measure(repository: Path, *, to_docs: bool) -> Path:
    """Measure, write the results, and return the path of the report. This takes minutes."""
    text = figures(_run(), _run("one"))
    build = repository / "build" / "bench" / "ocr.md"
    build.parent.mkdir(parents=True, exist_ok=True)
    build.write_text(text)

    page = repository / "docs" / "describers" / "ocr.md"
    if not to_docs:
        return build

    replace_section(page, "bench-ocr", text)
    return page


def _run(*arguments: str) -> Measured:
    command = [sys.executable, "-m", "bench.measure.ocr_measure", *arguments]
    return Measured(
        **json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    )


def figures(corpus: Measured, one: Measured) -> str:
    """Return the results as Markdown tables.

    Args:
        corpus: Results for all pictures.
        one: Results for a single picture.
    """
    return (
        "\n\n".join(
            [_accuracy(corpus), _cost(corpus, one), f"Measured on one core of {processor()}."]
        )
        + "\n"
    )


def _accuracy(corpus: Measured) -> str:
    rows = [
        (font, *(_percent(*corpus.words[condition][font]) for condition in CONDITIONS))
        for font in FONTS
    ]
    totals = [
        tuple(map(sum, zip(*corpus.words[condition].values(), strict=True)))
        for condition in CONDITIONS
    ]

    targets = [condition.bar for condition in CONDITIONS.values()]
    reached = [
        f"{mark(read >= target * words)} ≥ {100 * target:g}"
        for (read, words), target in zip(totals, targets, strict=True)
    ]

    rows += [("**all**", *(_percent(*total) for total in totals)), ("target", *reached)]
    head = (
        f"Percentage of the {totals[0][1]} words that were read without error "
        f"({FONT_PIXELS}-pixel fonts):"
    )

    return f"{head}\n\n{table(('', *CONDITIONS), rows)}"


def _percent(read: int, words: int) -> str:
    return f"{100 * read / words:.1f}"


def _cost(corpus: Measured, one: Measured) -> str:
    p50, p95 = (stats.percentile(corpus.seconds, share) for share in (0.5, 0.95))
    peak = one.peak_bytes / 1e6
    rows = [
        ("seconds, p50", digits(p50), ""),
        ("seconds, p95", digits(p95), f"{mark(p95 <= MAX_SECONDS)} ≤ {MAX_SECONDS:g}"),
        ("peak memory, MB", digits(peak), f"{mark(peak <= MAX_MEGABYTES)} ≤ {MAX_MEGABYTES:g}"),
        (
            "peak memory after reading all pictures in the table above, MB",
            digits(corpus.peak_bytes / 1e6),
            "",
        ),
        ("memory after loading, MB", digits(one.started_bytes / 1e6), ""),
        ("seconds for loading libraries and models", digits(one.start_seconds), ""),
    ]

    width, height = SIZE
    head = (
        f"Cost of reading a clean picture ({width}×{height} pixels, four lines of text). The "
        f"memory was measured while one picture was read {TIMES} times."
    )

    return f"{head}\n\n{table(('', 'measured', 'target'), rows)}"


def mark(reached: bool) -> str:  # noqa: FBT001
    """Return the symbol that shows whether a target was reached."""
    return MARKS["reached" if reached else "missed"]
