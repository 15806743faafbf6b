"""Prepare a picture for reading: make it upright, opaque and not too large."""

from PIL import Image

from ..imaging.display import as_displayed
from ..imaging.picture import open_picture
from ..imaging.pixels import reduced
from ..metadata.facts import Facts
from .memory import reduction_factor

_MIN_SIDE = 8
"""Minimum width and height in pixels of a picture that can contain letters."""


def prepare_for_reading(image: bytes, facts: Facts) -> tuple[Image.Image | None, int]:
    """Return the picture in RGB, and the factor by which it was reduced.

    The picture is None if it is too thin to contain letters.

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    stored = facts.picture
    factor = reduction_factor(stored.width, stored.height)
    if min(stored.width, stored.height) < _MIN_SIDE * factor:
        return None, factor

    with open_picture(image) as opened:
        decoded = reduced(opened.decode(opened.size), factor)

    size = (-(-stored.width // factor), -(-stored.height // factor))
    return as_displayed(decoded, stored, size=size, background=facts.background), factor
