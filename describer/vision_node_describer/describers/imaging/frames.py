"""Choose which frame of an animation to describe. Many animations begin with a blank frame."""

import struct

from PIL import Image, ImageFile

from .pixels import shrink

MAX_FRAMES_SEARCHED = 300
"""Maximum number of frames to search, which is ten seconds at 30 frames per second. An animation
that is blank for longer is probably blank on purpose."""

MAX_PIXELS_SEARCHED = 100_000_000
"""Maximum number of pixels to decode while searching for a frame. This takes about a second."""

_BLANK_LEVELS = 8
"""Maximum difference between a channel's values (0-255) in a frame that looks blank. Small
differences may be a codec's noise, or the first step of a fade."""

_VISIBLE_ALPHA = 128
"""Minimum alpha (0-255) of a visible pixel."""


def find_visible_frame(file: ImageFile.ImageFile, frames: int) -> int | None:
    """Seek to the first frame with visible content, decode it, and return its index.

    Return None if no frame within the limits has visible content. The file must then be opened
    again.
    """
    affordable = MAX_PIXELS_SEARCHED // max(1, file.width * file.height)
    for index in range(max(1, min(frames, MAX_FRAMES_SEARCHED, affordable))):
        try:
            file.seek(index)
            file.load()
        except (EOFError, OSError, SyntaxError, ValueError, RuntimeError, struct.error):
            # This frame is damaged, and the frames before it are blank.
            return None

        if has_visible_content(file):
            return index

    return None


def has_visible_content(picture: Image.Image) -> bool:
    """Return whether a decoded picture has visible pixels and more than one color."""
    ranges = [band.getextrema() for band in shrink(picture).split()]
    _, most_opaque = ranges[3]
    spread = max(float(high) - float(low) for low, high in ranges)  # type: ignore[arg-type]
    return float(most_opaque) >= _VISIBLE_ALPHA and spread > _BLANK_LEVELS  # type: ignore[arg-type]
