"""The text of a picture: its lines and their language. This module loads no models."""

from dataclasses import dataclass, replace

MODEL = "PP-OCRv6 small"
"""Name of the model that reads text, as given in descriptions."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text. Coordinates are in pixels from the picture's upper left corner."""

    text: str
    confidence: float
    """The model's confidence, 0 to 1."""
    corners: tuple[tuple[float, float], ...]
    """The four corners, clockwise from the text's upper left."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Bounding box: left, top, width and height."""
        xs, ys = zip(*self.corners, strict=True)
        return round(min(xs)), round(min(ys)), round(max(xs) - min(xs)), round(max(ys) - min(ys))

    def scaled(self, factor: int) -> "Line":
        """Return the line with its position in a picture `factor` times as large."""
        return replace(self, corners=tuple((x * factor, y * factor) for x, y in self.corners))


@dataclass(frozen=True, slots=True)
class Language:
    """A language as an ISO 639-1 code, and its probability from 0 to 1."""

    tag: str
    probability: float


@dataclass(frozen=True, slots=True)
class ReadText:
    """The text of a picture."""

    rows: list[list[Line]]
    """Rows of lines in reading order, in pixels of the displayed picture."""
    text: str
    language: Language | None
    """None if it is uncertain, or if there is no text."""

    @property
    def lines(self) -> list[Line]:
        """All lines in reading order."""
        return [line for row in self.rows for line in row]


NO_TEXT = ReadText([], "", None)
"""The text of a picture that has none, or in which none was sought."""


def confidence(lines: list[Line]) -> float:
    """Return the mean confidence of the lines' characters, 0 to 1; 0 if there are none."""
    characters = sum(len(line.text) for line in lines)
    if not characters:
        return 0.0

    return sum(line.confidence * len(line.text) for line in lines) / characters
