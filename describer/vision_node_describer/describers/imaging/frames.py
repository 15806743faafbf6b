"""Chooses the frame of an animation that stands for it: many begin with a blank one."""

import struct

from PIL import Image, ImageFile

from .pixels import shrink

MAX_FRAMES_LOOKED_AT = 300
"""Ten seconds at 30 frames a second: what is blank for longer is meant to be."""

MAX_PIXELS_LOOKED_AT = 100_000_000
"""Decoded in search of a frame, in all: about a second."""

_BLANK_LEVELS = 8
"""Of 255. A frame whose colors differ by no more looks empty: noise of a codec, the first step of a
fade."""

_VISIBLE_ALPHA = 128


def visible_frame(file: ImageFile.ImageFile, frames: int) -> int | None:
    """Decode up to the first frame that shows something; return its index, and leave the file at it.

    Returns:
        None if no frame within the bounds does. The file is then of no further use: open it again.
    """
    within = MAX_PIXELS_LOOKED_AT // max(1, file.width * file.height)
    for index in range(max(1, min(frames, MAX_FRAMES_LOOKED_AT, within))):
        try:
            file.seek(index)
            file.load()
        except (EOFError, OSError, SyntaxError, ValueError, RuntimeError, struct.error):
            # A later frame that is damaged: what comes before it is all there is.
            return None

        if shows_something(file):
            return index

    return None


def shows_something(picture: Image.Image) -> bool:
    """Return whether a decoded picture has more than one color."""
    ranges = [band.getextrema() for band in shrink(picture).split()]
    _, most_opaque = ranges[3]
    spread = max(float(high) - float(low) for low, high in ranges)  # type: ignore[arg-type]
    return float(most_opaque) >= _VISIBLE_ALPHA and spread > _BLANK_LEVELS  # type: ignore[arg-type]
