"""Makes of a file the picture to read: upright, opaque, of bounded size."""

from PIL import Image

from ..imaging.picture import OpenedPicture, open_picture
from ..imaging.pixels import reduced, turned_upright
from ..metadata.facts import Facts

MAX_READ_PIXELS = 12_500_000
"""A page of A4 scanned at 300 dots per inch has 8.7 million, a telephone's photograph 12."""

_MAX_SIDE = 6_000
"""Pixels: what lies in a strip beyond that would be too low to be read."""

_MIN_SIDE = 8
"""Pixels: no letter is lower."""

_BYTES_PER_PIXEL = 20
"""Coefficients of a JPEG; RGBA before and after averaging; RGB, turned, as array, with colours
swapped."""


def _factor(width: int, height: int) -> int:
    """Return over squares of which side, in pixels, such a picture is averaged before it is read."""
    factor = max(1, -(-max(width, height) // _MAX_SIDE))
    while width * height > MAX_READ_PIXELS * factor**2:
        factor += 1
    return factor


def reading_pixels(width: int, height: int) -> int:
    """Return how many pixels of such a picture are read."""
    return width * height // _factor(width, height) ** 2


def reading_bytes(pixels: int) -> int:
    """Return the memory that readable() takes beside decoding, in bytes."""
    return _BYTES_PER_PIXEL * pixels


def readable(image: bytes, facts: Facts) -> tuple[Image.Image | None, int]:
    """Return the picture as RGB, and by how much it was scaled down; None if it is too thin for letters.

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    stored = facts.picture
    factor = _factor(stored.width, stored.height)
    if min(stored.width, stored.height) < _MIN_SIDE * factor:
        return None, factor

    with open_picture(image) as opened:
        picture = _in_place(
            _opaque(reduced(opened.decode(opened.size), factor), facts), opened, factor
        )

    return turned_upright(picture, stored.exif.orientation), factor


def _in_place(picture: Image.Image, opened: OpenedPicture, factor: int) -> Image.Image:
    """Return the picture with white for the rows that its file lacks, so that text keeps its place."""
    if opened.intact is None:
        return picture
    width, height = (-(-side // factor) for side in opened.size)
    whole = Image.new("RGB", (width, height), "white")
    whole.paste(picture, (0, round(opened.intact.top * height)))
    return whole


def _opaque(picture: Image.Image, facts: Facts) -> Image.Image:
    """Lay the picture on what its visible part stands out from: light text may have a clear ground."""
    if not facts.transparent:
        return picture.convert("RGB")
    ground = Image.new(
        "RGB", picture.size, "black" if (facts.looks.brightness or 0) > 0.5 else "white"
    )
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground
