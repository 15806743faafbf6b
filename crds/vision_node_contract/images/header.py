"""Read an image's format and size from the file's header, without decoding pixels or metadata."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from ..models.reasons import DescribeError, Reason
from .boxes import BoxError, read_size
from .formats import AVIF, BMP, FORMAT_NAMES, GIF, HEIC, JPEG, PNG, TIFF, WEBP, Format, recognize
from .gif import first_frame_at
from .jpeg import JpegError, read_jpeg_header
from .tiff import TiffError, read_tiff_header

Size = tuple[int, int]
"""Width and height in pixels."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CORE_HEADER_BYTES = 12
"""Length of the BMP header of OS/2 1.x, in which the width and the height have 16 bits each."""


@dataclass(frozen=True, slots=True)
class Header:
    """Format and size of an image."""

    kind: Format
    width: int
    """Width in pixels, as stored (before the EXIF orientation is applied)."""
    height: int


class _DamagedError(ValueError):
    """The file is damaged. The message explains why, for `damaged`."""


def read_header(image: bytes) -> Header:
    """Return the format and size of an image.

    Raises:
        DescribeError: UnsupportedFormat, or ImageUnreadable if the file's header is damaged.
    """
    kind = recognize(image)

    try:
        width, height = _READERS[kind](image)
    except (_DamagedError, JpegError, BoxError, TiffError) as error:
        raise damaged(kind, str(error)) from error
    except (struct.error, IndexError, OverflowError) as error:
        raise damaged(kind, "it ends within its header") from error

    if width <= 0 or height <= 0:
        raise damaged(kind, "its width or height is zero")

    return Header(kind, width, height)


def damaged(kind: Format, why: str) -> DescribeError:
    """Return the error for a file of a known format that can't be read."""
    message = f"the {kind.name} file is damaged or cut off ({why}); upload an intact copy"
    return DescribeError(Reason.IMAGE_UNREADABLE, message)


def _jpeg(image: bytes) -> Size:
    header = read_jpeg_header(image)
    return header.width, header.height


def _png(image: bytes) -> Size:
    """Read IHDR and verify its checksum (PNG third edition, 5.3 and 11.2.1)."""
    if not image.startswith(PNG_SIGNATURE):
        raise _DamagedError("its signature was changed, probably by a transfer in text mode")

    length, name, width, height = struct.unpack_from(">L4sLL", image, 8)
    if name != b"IHDR" or length != 13:
        raise _DamagedError("it does not begin with an IHDR chunk")

    (checksum,) = struct.unpack_from(">L", image, 29)
    if zlib.crc32(image[12:29]) != checksum:
        raise _DamagedError("the checksum of its IHDR chunk is wrong")

    return width, height


def _gif(image: bytes) -> Size:
    """Read the size of the screen, enlarged to fit the first frame (GIF89a, sections 18 and 20)."""
    width, height = struct.unpack_from("<HH", image, 6)
    at = first_frame_at(image)
    if at is None:
        return width, height

    left, top, frame_width, frame_height = struct.unpack_from("<HHHH", image, at + 1)
    return max(width, left + frame_width), max(height, top + frame_height)


def _bmp(image: bytes) -> Size:
    """Read the information header. A negative height means that rows start at the top."""
    (size,) = struct.unpack_from("<L", image, 14)
    if size == _CORE_HEADER_BYTES:
        width, height = struct.unpack_from("<HH", image, 18)
        return width, height

    width, height = struct.unpack_from("<ll", image, 18)
    return width, abs(height)


def _webp(image: bytes) -> Size:
    """Read the first chunk (RFC 9649, sections 2.5 to 2.7; lossy: RFC 6386, section 9.1)."""
    match bytes(image[12:16]):
        case b"VP8X":
            width, height = (int.from_bytes(image[at : at + 3], "little") + 1 for at in (24, 27))
            if len(image) < 30:
                raise _DamagedError("it ends within its header")

        case b"VP8L":
            (bits,) = struct.unpack_from("<L", image, 21)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1

        case b"VP8 ":
            width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", image, 26))

        case _:
            raise _DamagedError("its first chunk is not an image chunk")

    return width, height


def _tiff(image: bytes) -> Size:
    header = read_tiff_header(image)
    if header.raw:
        message = (
            "the file looks like a camera's raw file, which is not supported; "
            f"convert it to one of {FORMAT_NAMES} and submit it again"
        )
        raise DescribeError(Reason.UNSUPPORTED_FORMAT, message)

    return header.width, header.height


_READERS: dict[Format, Callable[[bytes], Size]] = {
    JPEG: _jpeg,
    PNG: _png,
    WEBP: _webp,
    GIF: _gif,
    AVIF: read_size,
    BMP: _bmp,
    HEIC: read_size,
    TIFF: _tiff,
}
