"""Draw pictures that are not photographs: charts, screenshots, pages and graphics."""

from bench.local.drawn import charts, graphics, pages, screens
from bench.local.drawn.drawing import Drawing
from bench.local.truth import Group, Sample, Truth

DRAWINGS: dict[str, Drawing] = charts.CHARTS | screens.SCREENS | pages.PAGES | graphics.GRAPHICS


def samples() -> list[Sample]:
    """Return all drawn pictures with their labels."""
    return [
        Sample(
            f"drawn: {name}",
            Group.OTHER,
            Truth(kinds=drawing.kinds, may=drawing.may),
            drawing.file,
        )
        for name, drawing in DRAWINGS.items()
    ]
