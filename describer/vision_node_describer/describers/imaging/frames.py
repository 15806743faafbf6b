"""Chooses the frame of an animation to describe, because many animations begin with a blank one."""

import struct

from PIL import Image, ImageFile

from .pixels import shrink

MAX_FRAMES_SEARCHED = 300
"""Maximum frames to search: ten seconds at 30 frames a second. A longer blank is intended."""

MAX_PIXELS_SEARCHED = 100_000_000
"""Maximum pixels to decode in search of a frame, which takes about a second."""

_BLANK_LEVELS = 8
"""Difference of colors, of 255 levels, up to which a frame looks blank: noise of a codec, or the
first step of a fade."""

_VISIBLE_ALPHA = 128
"""Alpha (0-255) from which a pixel is visible."""


def find_visible_frame(file: ImageFile.ImageFile, frames: int) -> int | None:
    """Decode up to the first frame with visible content; return its index; leave the file there.

    Returns:
        None if no frame within the limits has any. The file must then be opened again.
    """
    affordable = MAX_PIXELS_SEARCHED // max(1, file.width * file.height)
    for index in range(max(1, min(frames, MAX_FRAMES_SEARCHED, affordable))):
        try:
            file.seek(index)
            file.load()
        except (EOFError, OSError, SyntaxError, ValueError, RuntimeError, struct.error):
            # A later frame is damaged, and those before it are blank.
            return None

        if has_visible_content(file):
            return index

    return None


def has_visible_content(picture: Image.Image) -> bool:
    """Return whether a decoded picture has more than one color."""
    ranges = [band.getextrema() for band in shrink(picture).split()]
    _, most_opaque = ranges[3]
    spread = max(float(high) - float(low) for low, high in ranges)  # type: ignore[arg-type]
    return float(most_opaque) >= _VISIBLE_ALPHA and spread > _BLANK_LEVELS  # type: ignore[arg-type]
