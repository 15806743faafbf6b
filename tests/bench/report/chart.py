"""Draw the chart for the README as an SVG file.

Its background is white, so that it is also readable on a dark page.
"""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import stats
from bench.plan import EIGHT, METADATA, ONE
from bench.report.tables import digits
from bench.results import CELERY, JOB_PER_IMAGE, VISION_NODE, Run
from bench.stats import Spread

COLORS = {VISION_NODE: "#0f766e", CELERY: "#94a3b8", JOB_PER_IMAGE: "#cbd5e1"}
NAMES = {
    VISION_NODE: "vision-node",
    CELERY: "FastAPI + Celery\n+ Redis + SQLite",
    JOB_PER_IMAGE: "one Kubernetes\nJob per image",
}
INK = "#1e293b"
SIZE_INCHES = (9, 2.6)


def draw(run: Run, file: Path) -> None:
    """Write a chart of the latency with one client and the throughput with 8 clients."""
    # Text that is not converted to paths is small and searchable, and uses the reader's own font.
    # With a fixed salt, the same results always give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 9}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained", facecolor="white")
        left, right = figure.subplots(1, 2)
        _bars(left, "Time until done, 1 client (seconds, lower is better)", _latency(run))
        _bars(right, "Images per second, 8 clients (higher is better)", _throughput(run))
        right.set_yticklabels([])
        figure.savefig(file, format="svg", metadata={"Date": None})


def _latency(run: Run) -> dict[str, Spread]:
    found = {name: stats.over_rounds(run.select(name, ONE, METADATA), stats.p50) for name in COLORS}
    return {name: value for name, value in found.items() if value}


def _throughput(run: Run) -> dict[str, Spread]:
    found = {
        name: stats.over_rounds(run.select(name, EIGHT, METADATA), stats.throughput)
        for name in COLORS
    }
    return {name: value for name, value in found.items() if value}


def _bars(axes: Axes, title: str, values: dict[str, Spread]) -> None:
    names = list(values)
    medians = [value.median for value in values.values()]
    reach = [
        [v.median - v.least for v in values.values()],
        [v.greatest - v.median for v in values.values()],
    ]
    axes.barh(names, medians, color=[COLORS[name] for name in names], height=0.6)
    axes.errorbar(medians, names, xerr=reach, fmt="none", ecolor=INK, elinewidth=0.8, capsize=2)

    for name, value in values.items():
        axes.annotate(
            digits(value.median),
            (value.greatest, name),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            weight="bold" if name == VISION_NODE else "normal",
        )

    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.set_yticks(names, [NAMES[name] for name in names], color=INK)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
