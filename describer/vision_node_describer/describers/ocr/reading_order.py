"""Put lines into reading order. Columns of prose are read one after another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import atan2, cos, sin
from statistics import median

from .text import Line

_MIN_GUTTER = 1.0
"""Minimum distance between columns in line heights. Words in a line are closer together."""

_MIN_PROSE_WIDTH = 8.0
"""Minimum median width of a column's lines in line heights. The cells of a table are narrower, and
are read row by row."""

_MAX_ROW_OFFSET = 0.5
"""Maximum vertical distance between the middles of lines in the same row, in line heights."""


@dataclass(frozen=True, slots=True)
class _PlacedLine:
    """A line with its extent along and across the text's direction."""

    line: Line
    left: float
    right: float
    top: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


_Row = list[_PlacedLine]
_Span = tuple[float, float]


def reading_order(lines: Sequence[Line]) -> list[list[Line]]:
    """Return rows of lines in reading order.

    Columns of prose follow one another, but tables are read row by row.
    """
    if not lines:
        return []

    # Add up the lines as vectors, because long lines indicate the text's direction best.
    across = sum(line.corners[1][0] - line.corners[0][0] for line in lines)
    down = sum(line.corners[1][1] - line.corners[0][1] for line in lines)
    placed = [_place(line, atan2(down, across)) for line in lines]
    height = median(place.bottom - place.top for place in placed)

    return [[place.line for place in row] for row in _read_rows(_rows(placed, height), height)]


def _place(line: Line, angle: float) -> _PlacedLine:
    """Rotate a line by the text's angle, so that it is horizontal and as high as its letters."""
    along = [x * cos(angle) + y * sin(angle) for x, y in line.corners]
    across = [y * cos(angle) - x * sin(angle) for x, y in line.corners]
    return _PlacedLine(line, min(along), max(along), min(across), max(across))


def _rows(places: Sequence[_PlacedLine], height: float) -> list[_Row]:
    rows: list[_Row] = []
    for place in sorted(places, key=lambda place: place.middle):
        if rows and place.middle - rows[-1][0].middle <= _MAX_ROW_OFFSET * height:
            rows[-1].append(place)
        else:
            rows.append([place])
    return [sorted(row, key=lambda place: place.left) for row in rows]


def _read_rows(rows: list[_Row], height: float) -> Iterator[_Row]:
    """Yield rows in reading order. Columns with a gutter between them are read one by one."""
    while rows:
        count, spans = _rows_with_gutter(rows, _MIN_GUTTER * height)
        columns = _columns([place for row in rows[:count] for place in row], spans, height)
        if len(columns) > 1:
            for column in columns:
                yield from _read_rows(_rows(column, height), height)
        else:
            yield from rows[:count]

        rows = rows[count:]


def _rows_with_gutter(rows: list[_Row], min_gutter: float) -> tuple[int, list[_Span]]:
    """Return how many of the first rows have common gutters, and the spans between the gutters."""
    spans: list[_Span] = []
    for count, row in enumerate(rows):
        wider = _merge_spans([*spans, *((place.left, place.right) for place in row)], min_gutter)
        if count and len(wider) < 2:
            return count, spans

        spans = wider

    return len(rows), spans


def _merge_spans(spans: list[_Span], min_gutter: float) -> list[_Span]:
    """Merge spans that are less than `min_gutter` apart."""
    merged: list[_Span] = []
    for left, right in sorted(spans):
        if merged and left - merged[-1][1] < min_gutter:
            merged[-1] = merged[-1][0], max(merged[-1][1], right)
        else:
            merged.append((left, right))
    return merged


def _columns(
    places: list[_PlacedLine], spans: list[_Span], height: float
) -> list[list[_PlacedLine]]:
    """Divide the lines into columns by spans, and merge columns without prose with a neighbor."""
    while len(spans) > 1:
        columns = [
            [place for place in places if left <= place.left <= right] for left, right in spans
        ]
        cells = [index for index, column in enumerate(columns) if not _is_prose(column, height)]
        if not cells:
            return columns

        adjacent = [index for index in (cells[0] - 1, cells[0]) if 0 <= index < len(spans) - 1]
        nearer = min(adjacent, key=lambda index: spans[index + 1][0] - spans[index][1])
        spans = [*spans[:nearer], (spans[nearer][0], spans[nearer + 1][1]), *spans[nearer + 2 :]]

    return [places]


def _is_prose(column: list[_PlacedLine], height: float) -> bool:
    rows = _rows(column, height)
    wide = median(row[-1].right - row[0].left for row in rows) >= _MIN_PROSE_WIDTH * height
    return wide and len(rows) > 1
