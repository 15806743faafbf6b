"""Tests of axes: which numbers in a picture are the labels of a chart's axis."""

import pytest
from vision_node_describer.describers.local.axes import has_axis
from vision_node_describer.describers.ocr.text import Line

Placed = tuple[str, int, int]
"""A text, and its left and top in pixels."""


def lines(*placed: Placed) -> list[Line]:
    return [
        Line(text, 0.99, ((x, y), (x + 30, y), (x + 30, y + 12), (x, y + 12)))
        for text, x, y in placed
    ]


CHARTS: dict[str, list[Placed]] = {
    "upward": [("0", 10, 400), ("20", 10, 300), ("40", 10, 200), ("60", 10, 100)],
    "three upward, and years": [
        *(("0", 5, 300), ("20", 5, 200), ("40", 5, 100)),
        *(("2019", 50, 400), ("2020", 151, 401), ("2021", 249, 400), ("2022", 350, 399)),
    ],
    "thousands": [("1,000", 9, 400), ("2,000", 9, 300), ("3,000", 9, 200), ("4,000", 9, 100)],
    "negative": [("−1.0", 9, 400), ("−0.5", 9, 300), ("0.0", 9, 200), ("0.5", 9, 100)],
    "percent": [("0 %", 9, 400), ("25 %", 9, 300), ("50 %", 9, 200), ("75 %", 9, 100)],
    "with a title": [
        *(("Sales by month", 100, 10), ("0", 10, 400), ("20", 10, 300)),
        *(("40", 10, 200), ("60", 10, 100), ("January", 200, 430)),
    ],
}

OTHERS: dict[str, list[Placed]] = {
    "nothing": [],
    "words": [("one", 10, 400), ("two", 10, 300), ("three", 10, 200), ("four", 10, 100)],
    "numbered list": [("1", 10, 100), ("2", 10, 120), ("3", 10, 140), ("4", 10, 160)],
    "prices": [("3.50", 10, 100), ("4.25", 10, 120), ("7.75", 10, 140), ("9.00", 10, 160)],
    "three numbers": [("0", 10, 400), ("20", 10, 300), ("40", 10, 200)],
    "page numbers": [("1", 50, 400), ("2", 100, 400), ("3", 150, 400), ("4", 200, 400)],
    "calendar": [
        (str(7 * week + day), 60 * day, 100 + 40 * week) for week in range(4) for day in range(1, 8)
    ],
    "number of 400 digits": [("9" * 400, 10, 100 * row) for row in range(5)],
    "equal numbers": [("5", 10, 400), ("5", 10, 300), ("5", 10, 200), ("5", 10, 100)],
    "uneven steps": [("0", 10, 400), ("20", 10, 300), ("40", 10, 290), ("60", 10, 100)],
    "clock": [
        *(("12", 200, 20), ("3", 380, 200), ("6", 200, 380), ("9", 20, 200)),
        *(("1", 290, 45), ("11", 110, 45), ("5", 290, 355), ("7", 110, 355)),
    ],
    "phone number": [("555", 10, 100), ("010", 60, 100), ("9999", 110, 100), ("12", 160, 100)],
}


@pytest.mark.parametrize("placed", CHARTS.values(), ids=CHARTS)
def test_evenly_spaced_numbers_are_an_axis(placed: list[Placed]) -> None:
    assert has_axis(lines(*placed))


@pytest.mark.parametrize("placed", OTHERS.values(), ids=OTHERS)
def test_other_numbers_are_not_an_axis(placed: list[Placed]) -> None:
    assert not has_axis(lines(*placed))
