"""Write the report of the latest results as a Markdown page with a chart."""

import json
from pathlib import Path
from typing import Any

from bench.report import chart, page
from bench.results import HistoryEffect, Run, backlog_of, large_batches


def write(repository: Path, *, to_docs: bool) -> Path:
    """Write benchmark.md and benchmark.svg to docs/ or build/bench/, and return the page's path."""
    build = repository / "build" / "bench"
    runs, backlogs = _read(build / "results.json"), _read(build / "backlog.json")
    effects = _read(build / "history-cluster.json")

    run = Run.of(runs) if runs else None
    backlog = backlog_of(backlogs) if backlogs else None
    effect = HistoryEffect.of(effects) if effects else None

    folder = repository / "docs" if to_docs else build
    if run:
        chart.draw(run, folder / "benchmark.svg")

    file = folder / "benchmark.md"
    file.write_text(page.markdown(run, backlog, large_batches(build), effect))
    return file


def _read(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text())
    return found
