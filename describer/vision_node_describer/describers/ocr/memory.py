"""The memory for reading the text of a picture. This module loads no models."""

from vision_node_contract.images.header import read_header
from vision_node_contract.models.reasons import DescribeError

from ..imaging.picture import decoding_bytes

MAX_READ_PIXELS = 12_500_000
"""Maximum number of pixels of a picture to read. An A4 page scanned at 300 dots per inch has 8.7
million pixels, and a phone's photograph has 12 million."""

_MAX_SIDE = 6_000
"""Maximum width and height in pixels. Text in a longer strip would be too small to read."""

MAX_DETECTION_PIXELS = 1_000_000
"""Maximum number of pixels of the reduced picture in which lines are detected. The text of the
lines is recognized at full size."""

_DETECTION_BYTES_PER_PIXEL = 340
"""Memory for detection, in bytes per pixel. In measurements with up to four megapixels, it was 165
to 330."""

_RECOGNITION_BYTES = 150 << 20
"""Memory for recognizing the longest line (measured: 141 MB)."""

_BYTES_PER_PIXEL = 20
"""Memory in bytes per pixel. It covers JPEG coefficients, RGBA before and after averaging, and
copies in RGB: the picture, the rotated picture, and arrays with and without swapped colors."""

_REDUCED_BYTES_PER_PIXEL = 8
"""Part of _BYTES_PER_PIXEL that is needed while the whole picture is in memory: the reduced picture
in RGBA and in RGB."""

_LIBRARIES_BYTES = 220 << 20
"""Memory for libraries and models (measured), in addition to the process itself, for which a worker
reserves memory anyway."""

READER_BYTES = (
    _LIBRARIES_BYTES + _DETECTION_BYTES_PER_PIXEL * MAX_DETECTION_PIXELS + _RECOGNITION_BYTES
)
"""Memory of a TextReader in bytes. It reads one picture at a time."""


def reduction_factor(width: int, height: int) -> int:
    """Return the factor by which a picture is reduced before it is read."""
    factor = max(1, -(-max(width, height) // _MAX_SIDE))
    while width * height > MAX_READ_PIXELS * factor**2:
        factor += 1
    return factor


def reading_pixels(width: int, height: int) -> int:
    """Return the number of pixels of the reduced picture."""
    return width * height // reduction_factor(width, height) ** 2


def reader_bytes(image: bytes) -> int:
    """Return the maximum memory, in bytes, for decoding and reading one more file.

    Return 0 if the header is unreadable.
    """
    try:
        header = read_header(image)
    except DescribeError:
        return 0

    # The decoded picture is released before the reduced one is copied.
    pixels = reading_pixels(header.width, header.height)
    return max(decoding_bytes(image) + _REDUCED_BYTES_PER_PIXEL * pixels, _BYTES_PER_PIXEL * pixels)
