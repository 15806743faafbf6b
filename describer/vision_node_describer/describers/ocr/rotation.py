"""Reads a picture in which the text lies on its side or stands on its head."""

from dataclasses import replace

from PIL import Image

from .engine import Engine, Line

_DOUBTFUL = 0.8
"""Mean confidence: in ten fonts of 24 pixels text on its head had 0.6 to 0.7, upright text at least
0.98."""

_FEWEST_CHARACTERS = 4
"""A letter or two found in a photograph are not worth the time of a second look."""

_AS_GOOD = 0.9
"""Of its confidence keeps, at least, text on its side that read well: high lines are turned to be
read."""


def read_turned(engine: Engine, picture: Image.Image) -> list[Line]:
    """Return the lines of an RGB picture, uncertain ones among them, in no order.

    What reads badly, or stands on end, is turned and read again, which takes the time once more.
    """
    lines = engine.read(picture)
    sure, lies = confidence(lines) >= _DOUBTFUL, _lies(lines)
    if sum(len(line.text) for line in lines) < _FEWEST_CHARACTERS or (sure and not lies):
        return lines

    turn = Image.Transpose.ROTATE_180
    if lies:
        # High lines are read turned against the clock.
        turn = Image.Transpose.ROTATE_90 if sure else Image.Transpose.ROTATE_270

    turned = engine.read(picture.transpose(turn))
    if confidence(turned) < confidence(lines) * (_AS_GOOD if lies else 1):
        return lines

    return [_back(line, turn, picture) for line in turned]


def confidence(lines: list[Line]) -> float:
    """Return the mean of the characters' confidence, 0 to 1; 0 if there are none."""
    characters = sum(len(line.text) for line in lines)
    return (
        sum(line.confidence * len(line.text) for line in lines) / characters if characters else 0.0
    )


def _lies(lines: list[Line]) -> bool:
    """Return whether most lines are higher than wide."""
    high = sum(line.box[3] > line.box[2] for line in lines)
    return 2 * high > len(lines)


def _back(line: Line, turn: Image.Transpose, picture: Image.Image) -> Line:
    """Return the line with its corners where they are in the picture as it was."""
    width, height = picture.size
    match turn:
        case Image.Transpose.ROTATE_90:
            corners = [(width - y, x) for x, y in line.corners]
        case Image.Transpose.ROTATE_270:
            corners = [(y, height - x) for x, y in line.corners]
        case _:
            corners = [(width - x, height - y) for x, y in line.corners]

    return replace(line, corners=tuple(corners))
