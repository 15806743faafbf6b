"""Draw the curves of a soak test as an SVG file that needs no library.

Colors come from a style sheet inside the file, so that it is readable on light and dark pages.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from bench.soak.flatness import MEGABYTE, Point, Window
from bench.soak.judge import curve, memory_curve, window_of
from bench.soak.results import COMPONENTS, Reading, Soak

COLUMNS = 3
WIDTH, HEIGHT = 320, 190
"""Size of a panel, in the SVG's units."""
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 44, 26
"""Margins inside a panel."""

MAX_POINTS = 300
"""Maximum number of points in a line, which is about one for each unit of width."""

RATE_SECONDS = 60.0
"""Images per second are averages of this time."""

STYLE = """
  svg { --page: #ffffff; --ink: #1e293b; --faint: #64748b; --grid: #e2e8f0; --first: #0f766e;
        --second: #b45309; --window: #0f766e14; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #0d1117; --ink: #e2e8f0; --faint: #94a3b8; --grid: #334155; --first: #2dd4bf;
          --second: #fbbf24; --window: #2dd4bf1f; }
  }
  .page { fill: var(--page); } .window { fill: var(--window); }
  text { font: 11px sans-serif; fill: var(--faint); } .title { font-size: 12px; fill: var(--ink); }
  .first { fill: var(--first); } .second { fill: var(--second); }
  line { stroke: var(--grid); } .end { stroke: var(--faint); stroke-dasharray: 3 3; }
  polyline { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
  polyline.first { stroke: var(--first); fill: none; }
  polyline.second { stroke: var(--second); fill: none; }
"""

TITLES = {"kube-apiserver": "API server", "api": "API", "minio": "MinIO", "postgres": "PostgreSQL"}


@dataclass(frozen=True, slots=True)
class Panel:
    """A small chart with one or two lines, whose vertical axis starts at 0."""

    title: str
    unit: str
    lines: dict[str, list[Point]]
    """Points by legend. A single line has no legend."""


def draw(soak: Soak) -> str:
    """Return an SVG image with all curves."""
    panels = panels_of(soak)
    rows = -(-len(panels) // COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT
    end = max((sample.seconds for sample in soak.samples), default=0.0) or 1.0

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        "<title>Memory, etcd, objects and throughput during the soak test</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
    ]
    for i, panel in enumerate(panels):
        x, y = i % COLUMNS * WIDTH, i // COLUMNS * HEIGHT
        parts += [f'<g transform="translate({x} {y})">', *_panel(panel, soak, end), "</g>"]

    return "\n".join([*parts, "</svg>"]) + "\n"


def panels_of(soak: Soak) -> list[Panel]:
    """Return the panels: memory, etcd's database, what exists, and throughput."""

    def scaled(value: Callable[[Reading], float | None], scale: float = 1.0) -> list[Point]:
        return [(seconds, found / scale) for seconds, found in curve(soak, value)]

    memory = [
        Panel(
            f"Memory of {TITLES.get(component, component)}",
            "MB",
            {"": [(t, value / MEGABYTE) for t, value in memory_curve(soak, component)]},
        )
        for component in COMPONENTS
    ]

    return [
        *memory,
        Panel(
            "etcd's database",
            "MB",
            {
                "file": scaled(lambda reading: reading.etcd.total_bytes, MEGABYTE),
                "in use": scaled(lambda reading: reading.etcd.in_use_bytes, MEGABYTE),
            },
        ),
        Panel(
            "ImageJobs and objects",
            "",
            {
                "ImageJobs": scaled(lambda reading: reading.imagejobs),
                "objects": scaled(lambda reading: reading.objects),
            },
        ),
        Panel(
            "PostgreSQL's database",
            "MB",
            {"": scaled(lambda reading: reading.database_bytes, MEGABYTE)},
        ),
        Panel("Images per second", "", {"": rates(soak)}),
    ]


def rates(soak: Soak) -> list[Point]:
    """Return the throughput in images per second, averaged over RATE_SECONDS before each sample."""
    found: list[Point] = []
    first = 0

    for sample in soak.samples:
        while sample.seconds - soak.samples[first].seconds > RATE_SECONDS:
            first += 1
        start = soak.samples[first]
        if sample.seconds > start.seconds:
            rate = (sample.done - start.done) / (sample.seconds - start.seconds)
            found.append((sample.seconds, rate))

    return found


def _panel(panel: Panel, soak: Soak, end: float) -> Iterator[str]:
    highest = max((value for points in panel.lines.values() for _, value in points), default=0.0)
    top = nice_top(highest)
    window = window_of(soak)

    def x(seconds: float) -> float:
        return LEFT + seconds / end * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    title = f"{panel.title}, {panel.unit}" if panel.unit else panel.title
    yield f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>'
    if window:
        yield _window(window, x)
    yield from _axes(top, end, x, y)
    if 0 < soak.load_seconds < end:
        yield _line(x(soak.load_seconds), TOP, x(soak.load_seconds), HEIGHT - BOTTOM, "end")

    legend_x = LEFT
    for style, (name, points) in zip(("first", "second"), panel.lines.items(), strict=False):
        places = " ".join(f"{x(t):.1f},{y(value):.1f}" for t, value in thinned(points))
        yield f'<polyline class="{style}" points="{places}"/>'
        if name:
            yield f'<text class="{style}" x="{legend_x}" y="34">{escape(name)}</text>'
            legend_x += 80


def _axes(
    top: float, end: float, x: Callable[[float], float], y: Callable[[float], float]
) -> Iterator[str]:
    for value in (0.0, top / 2, top):
        yield _line(LEFT, y(value), WIDTH - RIGHT, y(value))
        yield f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:,g}</text>'

    minutes = nice_top(end / 60) / 4
    for tick in range(5):
        moment = tick * minutes * 60
        if moment <= end:
            label = f"{tick * minutes:g}" + (" min" if tick == 0 else "")
            yield f'<text x="{x(moment):.1f}" y="{HEIGHT - 9}" text-anchor="middle">{label}</text>'


def _window(window: Window, x: Callable[[float], float]) -> str:
    width = x(window.end) - x(window.start)
    return (
        f'<rect class="window" x="{x(window.start):.1f}" y="{TOP}" width="{width:.1f}" '
        f'height="{HEIGHT - TOP - BOTTOM}"/>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, style: str = "grid") -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def nice_top(highest: float) -> float:
    """Return a round number that is at least `highest`, as the top of an axis."""
    if highest <= 0:
        return 1.0
    magnitude = 10.0 ** math.floor(math.log10(highest))
    return next(step * magnitude for step in (1, 2, 4, 6, 8, 10) if highest <= step * magnitude)


def thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most MAX_POINTS points and the last one.

    Of each block, the point that differs most from its predecessor is kept, so that no peak is
    lost.
    """
    if len(points) <= MAX_POINTS:
        return list(points)

    size = -(-len(points) // MAX_POINTS)
    changes = {later: abs(later[1] - value) for (_, value), later in pairwise(points)}
    blocks = (points[i : i + size] for i in range(0, len(points), size))
    kept = [max(block, key=lambda point: changes.get(point, 0.0)) for block in blocks]

    return kept if kept[-1] == points[-1] else [*kept, points[-1]]
