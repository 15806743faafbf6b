"""Draw charts with matplotlib. It is imported only on use, because unit tests run without it."""

import io
import math
import random
from collections.abc import Callable
from typing import Any

from pictures import chart
from PIL import Image

from bench.local.drawn.drawing import Drawing

_CHART = frozenset({"chart"})
_MAY = frozenset({"chart", "graph", "line", "bar", "axis", "legend"})

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _plotted(plot: Callable[[Any], None], style: str = "default") -> Image.Image:
    # Agg needs no display.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    with plt.style.context(style):
        figure, axes = plt.subplots(figsize=(8, 5), dpi=120)
        plot(axes)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        plt.close(figure)

    return Image.open(buffer).convert("RGB")


def _lines() -> Image.Image:
    def plot(axes: Any) -> None:
        for phase, label in enumerate(("Berlin", "Madrid", "Oslo")):
            values = [12 - 4 * phase + 9 * math.sin((month - 3) / 2) for month in range(12)]
            axes.plot(_MONTHS, values, marker="o", label=label)
        axes.set_title("Mean temperature by month")
        axes.set_ylabel("Degrees Celsius")
        axes.legend()

    return _plotted(plot)


def _bars() -> Image.Image:
    def plot(axes: Any) -> None:
        axes.bar(("2019", "2020", "2021", "2022", "2023"), (120, 95, 143, 178, 201))
        axes.set_title("Units sold per year (thousands)")
        axes.set_xlabel("Year")

    return _plotted(plot)


def _scatter() -> Image.Image:
    def plot(axes: Any) -> None:
        chance = random.Random(3)  # noqa: S311
        points = [(chance.gauss(170, 9), chance.gauss(70, 11)) for _ in range(200)]
        axes.scatter(*zip(*points, strict=True), alpha=0.6)
        axes.set_xlabel("Height in cm")
        axes.set_ylabel("Weight in kg")

    return _plotted(plot)


def _pie() -> Image.Image:
    def plot(axes: Any) -> None:
        labels = ("Rent", "Food", "Transport", "Savings", "Other")
        axes.pie((35, 22, 14, 17, 12), labels=labels, autopct="%d %%")
        axes.set_title("Where the money goes")

    return _plotted(plot)


def _dark_area() -> Image.Image:
    def plot(axes: Any) -> None:
        hours = list(range(24))
        low = [30 + 20 * math.sin(hour / 4) for hour in hours]
        axes.stackplot(hours, low, [value / 2 + 15 for value in low], labels=("reads", "writes"))
        axes.set_title("Requests per second, last 24 hours")
        axes.legend(loc="upper left")

    return _plotted(plot, "dark_background")


def _heat_map() -> Image.Image:
    def plot(axes: Any) -> None:
        rows = [[(row * column) % 17 for column in range(12)] for row in range(7)]
        axes.imshow(rows, cmap="viridis")
        axes.set_xticks(range(12), _MONTHS)
        axes.set_yticks(range(7), ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))
        axes.set_title("Visits by weekday and month")

    return _plotted(plot)


CHARTS = {
    "line chart": Drawing(_lines, _CHART, _MAY),
    "bar chart": Drawing(_bars, _CHART, _MAY),
    "bar chart without grid": Drawing(chart, _CHART, _MAY),
    "scatter plot": Drawing(_scatter, _CHART, _MAY),
    "pie chart": Drawing(_pie, _CHART | {"graphic"}, _MAY),
    "area chart on black": Drawing(_dark_area, _CHART, _MAY),
    "heat map": Drawing(_heat_map, _CHART, _MAY),
    "line chart as JPEG": Drawing(_lines, _CHART, _MAY, "JPEG"),
}
