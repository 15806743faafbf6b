"""Puts lines into the order in which a person reads them: from left to right, from top to bottom."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import atan2, cos, sin
from statistics import median

from .engine import Line

_GUTTER = 1.0
"""In heights of a line: columns stand at least so far apart, words closer."""

_PROSE = 8.0
"""In heights of a line: how wide the median line of a column is at least. Cells of a table are
narrower, and are read across."""

_SAME_ROW = 0.5
"""In heights of a line: how far apart the middles of a row's parts are at most."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A line's extent along the text and across it."""

    line: Line
    left: float
    right: float
    top: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


_Row = list[_Placed]
_Span = tuple[float, float]


def reading_order(lines: Sequence[Line]) -> list[list[Line]]:
    """Return rows; columns of prose one after the other, the cells of a table together with their row."""
    if not lines:
        return []

    # The sum of the lines as arrows: long ones know the text's direction best.
    across = sum(line.corners[1][0] - line.corners[0][0] for line in lines)
    down = sum(line.corners[1][1] - line.corners[0][1] for line in lines)
    placed = [_level(line, atan2(down, across)) for line in lines]
    height = median(place.bottom - place.top for place in placed)

    return [[place.line for place in row] for row in _read(_rows(placed, height), height)]


def _level(line: Line, angle: float) -> _Placed:
    """Turn the line by the text's angle: it then lies flat, and is as high as its letters."""
    along = [x * cos(angle) + y * sin(angle) for x, y in line.corners]
    across = [y * cos(angle) - x * sin(angle) for x, y in line.corners]
    return _Placed(line, min(along), max(along), min(across), max(across))


def _rows(places: Sequence[_Placed], height: float) -> list[_Row]:
    rows: list[_Row] = []
    for place in sorted(places, key=lambda place: place.middle):
        if rows and place.middle - rows[-1][0].middle <= _SAME_ROW * height:
            rows[-1].append(place)
        else:
            rows.append([place])
    return [sorted(row, key=lambda place: place.left) for row in rows]


def _read(rows: list[_Row], height: float) -> Iterator[_Row]:
    """Yield rows in order; where gutters go through several of them, column by column."""
    while rows:
        count, spans = _run(rows, _GUTTER * height)
        columns = _columns([place for row in rows[:count] for place in row], spans, height)
        if len(columns) > 1:
            for column in columns:
                yield from _read(_rows(column, height), height)
        else:
            yield from rows[:count]

        rows = rows[count:]


def _run(rows: list[_Row], least: float) -> tuple[int, list[_Span]]:
    """Return through how many rows from the first some gutter goes, and what is left and right of gutters."""
    spans: list[_Span] = []
    for count, row in enumerate(rows):
        wider = _united([*spans, *((place.left, place.right) for place in row)], least)
        if count and len(wider) < 2:
            return count, spans
        spans = wider
    return len(rows), spans


def _united(spans: list[_Span], least: float) -> list[_Span]:
    """Unite spans between which less than so much is free."""
    united: list[_Span] = []
    for left, right in sorted(spans):
        if united and left - united[-1][1] < least:
            united[-1] = united[-1][0], max(united[-1][1], right)
        else:
            united.append((left, right))
    return united


def _columns(places: list[_Placed], spans: list[_Span], height: float) -> list[list[_Placed]]:
    """Part the places by spans; what is no column of prose goes with its neighbour."""
    while len(spans) > 1:
        columns = [
            [place for place in places if left <= place.left <= right] for left, right in spans
        ]
        cells = [index for index, column in enumerate(columns) if not _is_prose(column, height)]
        if not cells:
            return columns
        beside = [index for index in (cells[0] - 1, cells[0]) if 0 <= index < len(spans) - 1]
        nearer = min(beside, key=lambda index: spans[index + 1][0] - spans[index][1])
        spans = [*spans[:nearer], (spans[nearer][0], spans[nearer + 1][1]), *spans[nearer + 2 :]]

    return [places]


def _is_prose(column: list[_Placed], height: float) -> bool:
    rows = _rows(column, height)
    wide = median(row[-1].right - row[0].left for row in rows) >= _PROSE * height
    return wide and len(rows) > 1
