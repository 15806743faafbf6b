"""Print text that servers, images and file names contain."""

import re
import sys

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that could control the terminal or change the direction of text, and halves of
characters, which can't be printed."""


def safe(text: str) -> str:
    """Return a text that can't control the terminal."""
    return _CONTROL.sub("\ufffd", text)


def safe_line(text: str) -> str:
    """Return a text on one line. A line break in it could imitate another line."""
    return safe(text).translate({ord(it): "\ufffd" for it in "\t\n"})


def one_line(text: str) -> str:
    """Return a text on one line, because a line break in it could imitate another line."""
    return safe(" ".join(text.split()))


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return rows in columns, as kubectl prints them."""
    lines = [header, *(tuple(one_line(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = (
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)


def say_error(text: str) -> None:
    """Print an error for the user."""
    print(f"error: {safe(text)}", file=sys.stderr)
