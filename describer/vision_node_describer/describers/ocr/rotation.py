"""Read a picture whose text may be sideways or upside down."""

from dataclasses import replace

from PIL import Image

from .engine import Engine
from .text import Line, confidence

_MIN_UPRIGHT_CONFIDENCE = 0.8
"""Minimum mean confidence of upright text. In ten fonts of 24 pixels, the confidence was 0.6 to 0.7
for upside-down text, and at least 0.98 for upright text."""

_MIN_CHARACTERS = 4
"""Minimum number of characters for a second reading. One or two letters in a photograph are not
worth the time."""

_MIN_SIDEWAYS_RATIO = 0.9
"""Minimum ratio between the confidences after and before sideways text is rotated. The confidence
may be high before, too, because the engine itself rotates tall lines."""


def read_rotated(engine: Engine, picture: Image.Image) -> list[Line]:
    """Return the lines of an RGB picture in no particular order, including uncertain ones.

    A picture with uncertain or sideways lines is rotated and read again. This doubles the time.
    """
    lines = engine.read(picture)
    sure = confidence(lines) >= _MIN_UPRIGHT_CONFIDENCE
    sideways = _is_sideways(lines)
    if sum(len(line.text) for line in lines) < _MIN_CHARACTERS or (sure and not sideways):
        return lines

    turn = Image.Transpose.ROTATE_180
    if sideways:
        # The engine rotates tall lines counterclockwise before it recognizes them.
        turn = Image.Transpose.ROTATE_90 if sure else Image.Transpose.ROTATE_270

    rotated = engine.read(picture.transpose(turn))
    if confidence(rotated) < confidence(lines) * (_MIN_SIDEWAYS_RATIO if sideways else 1):
        return lines

    return [_rotate_back(line, turn, picture) for line in rotated]


def _is_sideways(lines: list[Line]) -> bool:
    """Return whether most lines are taller than wide."""
    tall = sum(line.box[3] > line.box[2] for line in lines)
    return 2 * tall > len(lines)


def _rotate_back(line: Line, turn: Image.Transpose, picture: Image.Image) -> Line:
    """Return the line with its corners in the original picture."""
    width, height = picture.size
    match turn:
        case Image.Transpose.ROTATE_90:
            corners = [(width - y, x) for x, y in line.corners]
        case Image.Transpose.ROTATE_270:
            corners = [(y, height - x) for x, y in line.corners]
        case _:
            corners = [(width - x, height - y) for x, y in line.corners]

    return replace(line, corners=tuple(corners))
