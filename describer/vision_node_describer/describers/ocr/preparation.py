"""Prepare a picture for reading: make it upright, opaque and not too large."""

from PIL import Image

from ..imaging.picture import OpenedPicture, open_picture
from ..imaging.pixels import reduced, turned_upright
from ..metadata.facts import Facts

MAX_READ_PIXELS = 12_500_000
"""Maximum number of pixels of a picture to read. An A4 page scanned at 300 dots per inch has 8.7
million pixels, and a phone's photograph has 12 million."""

_MAX_SIDE = 6_000
"""Maximum width and height in pixels. Text in a longer strip would be too small to read."""

_MIN_SIDE = 8
"""Minimum width and height in pixels of a picture that can contain letters."""

_BYTES_PER_PIXEL = 20
"""Memory in bytes per pixel. It covers JPEG coefficients, RGBA before and after averaging, and
copies in RGB: the picture, the rotated picture, and arrays with and without swapped colors."""


def _reduction_factor(width: int, height: int) -> int:
    """Return the factor by which a picture is reduced before it is read."""
    factor = max(1, -(-max(width, height) // _MAX_SIDE))
    while width * height > MAX_READ_PIXELS * factor**2:
        factor += 1
    return factor


def reading_pixels(width: int, height: int) -> int:
    """Return the number of pixels of the reduced picture."""
    return width * height // _reduction_factor(width, height) ** 2


def reading_bytes(pixels: int) -> int:
    """Return the memory for prepare_for_reading() in bytes, not including decoding."""
    return _BYTES_PER_PIXEL * pixels


def prepare_for_reading(image: bytes, facts: Facts) -> tuple[Image.Image | None, int]:
    """Return the picture in RGB, and the factor by which it was reduced.

    The picture is None if it is too thin to contain letters.

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    stored = facts.picture
    factor = _reduction_factor(stored.width, stored.height)
    if min(stored.width, stored.height) < _MIN_SIDE * factor:
        return None, factor

    with open_picture(image) as opened:
        decoded = reduced(opened.decode(opened.size), factor)
        picture = _pad_missing_rows(_flatten(decoded, facts), opened, factor)

    return turned_upright(picture, stored.exif.orientation), factor


def _pad_missing_rows(picture: Image.Image, opened: OpenedPicture, factor: int) -> Image.Image:
    """Return the picture with white rows for missing ones, so that text keeps its position."""
    if opened.intact is None:
        return picture

    width, height = (-(-side // factor) for side in opened.size)
    whole = Image.new("RGB", (width, height), "white")
    whole.paste(picture, (0, round(opened.intact.top * height)))
    return whole


def _flatten(picture: Image.Image, facts: Facts) -> Image.Image:
    """Return the picture on an opaque background, which is black if the picture is bright."""
    if not facts.transparent:
        return picture.convert("RGB")

    is_bright = (facts.appearance.brightness or 0) > 0.5
    background = Image.new("RGB", picture.size, "black" if is_bright else "white")
    background.paste(picture, mask=picture.getchannel("A"))
    return background
