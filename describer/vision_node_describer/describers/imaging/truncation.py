"""Detect truncated files, and find the intact part of their pictures.

The missing bytes are filled in twice, with different values. Rows that are the same both times do
not depend on the filling, so they are intact. The other rows are left out. This works for every
format and with every decoder.
"""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from zlib import crc32

from PIL import Image, ImageFile
from vision_node_contract.images.boxes import declared_length
from vision_node_contract.images.formats import AVIF, BMP, GIF, HEIC, JPEG, PNG, TIFF, WEBP, Format
from vision_node_contract.images.header import damaged
from vision_node_contract.images.jpeg import JpegError, JpegHeader, read_jpeg_header
from vision_node_contract.images.tiff import TiffError, end_of_pixels
from vision_node_contract.models.reasons import DescribeError

from .animation import Animation, count_frames

MIN_SHARE = 0.5
"""Minimum share of intact rows. A smaller part does not show the picture's content."""

_NEARLY_ALL = 0.9
"""If at least this share of the rows is intact and contiguous, these rows are preferred to every
second row of the whole picture."""

_MAX_FILLINGS = 6
"""Maximum number of fillings to try. Decoders refuse some fillings."""

_MAX_COMPARED_ROWS = 20_000
"""Maximum number of rows to compare one by one. In taller pictures, rows are compared in groups."""

_NEEDED_FILLINGS = 2

_CHECKSUM_SIDE = 256
"""Minimum width and height in pixels to which a JPEG is reduced to find its intact rows. The
reduction makes the search up to 10 times faster."""

_PADDING_BYTES = 4096
"""Minimum number of zeros at a JPEG's end that count as padding. Fewer zeros may be the pixels of a
plain background."""

_BITMAPINFOHEADER_BYTES = 40
"""Size of BITMAPINFOHEADER, the first header whose fields for width and height have 32 bits."""

_END_OF_JPEG = b"\xff\xd9"
_NO_MARKERS = bytes([*range(255), 0])
"""Translation table that replaces FF in the bytes that fill a JPEG, because FF begins a marker."""

DECODER_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    IndexError,
    RuntimeError,
    struct.error,
)
"""Exceptions that Pillow's decoders raise for a truncated file. The decoded pixels are kept."""

OpenFile = Callable[[bytes], ImageFile.ImageFile]


@dataclass(frozen=True, slots=True)
class IntactPart:
    """The intact part of a truncated picture."""

    filling: int | None
    """Number of the filling that replaces the missing bytes; None if none is used."""
    top: float = 0.0
    bottom: float = 1.0
    """Where the intact rows begin and end, as shares of the height."""
    every_second: bool = False
    """Whether only rows 0, 2, 4 … are intact, as in an interlaced PNG or GIF without its last
    pass."""


def ends_early(image: bytes, kind: Format, animation: Animation | None = None) -> bool:
    """Return whether a file with a valid header ends before its end mark or its declared length.

    Args:
        image: The file.
        kind: Its format.
        animation: The result of count_frames(), if it has already been called.
    """
    if kind in (GIF, PNG, WEBP):
        return (animation or count_frames(image, kind)).truncated
    if kind is JPEG:
        # An embedded preview has an end mark, too, so the last mark must follow the first scan.
        header = _jpeg_header(image)
        return header is not None and image.rfind(_END_OF_JPEG) < (header.scan_at or len(image))
    return len(image) < _declared_length(image, kind)


def intact_part(image: bytes, kind: Format, open_file: OpenFile) -> IntactPart:
    """Return which rows of a truncated file are intact.

    Args:
        image: The file.
        kind: Its format.
        open_file: Opens a file of that format with Pillow.

    Raises:
        DescribeError: ImageUnreadable, if less than half of the picture is intact.
    """
    if kind is JPEG and _has_complete_scan(image):
        return IntactPart(None)
    if kind is WEBP and count_frames(image, kind).frames > 1:
        return IntactPart(None)
    # TIFF is excluded here, because some writers declare more bytes than they write.
    if kind is not TIFF and 2 * len(image) < _declared_length(image, kind):
        raise _too_little_left(kind, len(image) / _declared_length(image, kind))

    found = _checksums_of_fillings(image, kind, open_file)
    if len(found) < _NEEDED_FILLINGS:
        raise damaged(kind, "it ends too early for its format")

    (_, one), (filling, other) = found
    intact = _find_intact_rows(one, other, filling, bottom_up=kind is BMP and _is_bottom_up(image))
    share = intact.bottom - intact.top
    if share < MIN_SHARE:
        raise _too_little_left(kind, share)

    return intact


def fill_missing_bytes(image: bytes, kind: Format, filling: int | None) -> bytes:
    """Return a truncated file with its missing bytes filled in, so that it can be decoded.

    PNG and GIF files are returned unchanged, because Pillow keeps the rows that it could decode.
    """
    if kind is JPEG:
        # An interrupted transfer may leave a file of the full size, padded with zeros. FF bytes at
        # the end are removed, because they would form a marker with the filling.
        data = image.rstrip(b"\0")
        present = (data if len(image) - len(data) >= _PADDING_BYTES else image).rstrip(b"\xff")
        added = _filling_bytes(filling, len(present)).translate(_NO_MARKERS)
        return present + added + _END_OF_JPEG

    if kind is WEBP:
        return _fill_webp(image, filling)
    if kind in (PNG, GIF):
        return image

    missing = max(0, _declared_length(image, kind) - len(image))
    return image + _filling_bytes(filling, min(missing, len(image)))


def decode_intact_rows(file: ImageFile.ImageFile, intact: IntactPart) -> Image.Image:
    """Return the intact rows of a file returned by fill_missing_bytes()."""
    _decode(file, 0)
    height = file.height
    top, bottom = round(intact.top * height), max(1, round(intact.bottom * height))

    if intact.every_second:
        half = file.transform(
            (file.width, -(-height // 2)), Image.Transform.AFFINE, (1, 0, 0, 0, 2, 0)
        )
        return half.resize(file.size, Image.Resampling.NEAREST)

    if (top, bottom) == (0, height):
        return file

    return file.crop((0, top, file.width, bottom))


def _too_little_left(kind: Format, share: float) -> DescribeError:
    return damaged(kind, f"only {share:.0%} of the picture is intact")


def _jpeg_header(image: bytes) -> JpegHeader | None:
    try:
        return read_jpeg_header(image)
    except JpegError:
        return None


def _has_complete_scan(image: bytes) -> bool:
    """Return whether a progressive JPEG contains a coarse version of the whole picture.

    It does if its first scan is complete. The start of a second scan shows that it is.
    """
    header = _jpeg_header(image)
    if header is None or not header.progressive or header.scan_at is None:
        return False
    return image.find(b"\xff\xda", header.scan_at + 2) >= 0


def _declared_length(image: bytes, kind: Format) -> int:
    """Return the length that the file's header declares, or else the file's actual length."""
    if kind is WEBP:
        return 8 + int.from_bytes(image[4:8], "little")
    if kind in (AVIF, HEIC):
        return declared_length(image)
    if kind is BMP:
        return _bmp_length(image)
    if kind is TIFF:
        return _tiff_length(image)

    return len(image)


def _bmp_length(image: bytes) -> int:
    """Return the offset at which a BMP's rows end.

    Uncompressed rows are padded to a multiple of four bytes. The length of compressed rows is
    unknown, so the offset at which they begin is returned for them.
    """
    (offset, size) = struct.unpack_from("<LL", image, 10)
    if size < _BITMAPINFOHEADER_BYTES:
        width, height, _, bits = struct.unpack_from("<HHHH", image, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<llHHL", image, 18)

    run_lengths = compression in (1, 2)
    rows = 0 if run_lengths else abs(height) * (-(-width * bits // 32) * 4)
    return int(offset + rows)


def _is_bottom_up(image: bytes) -> bool:
    """Return whether a BMP begins with its bottom row, which a positive height indicates."""
    size, _, height = struct.unpack_from("<Lll", image, 14)
    return bool(size < _BITMAPINFOHEADER_BYTES or height > 0)


def _tiff_length(image: bytes) -> int:
    try:
        return end_of_pixels(image)
    except TiffError:
        return len(image)


def _filling_bytes(filling: int | None, length: int) -> bytes:
    """Return bytes that replace missing ones. They are always the same for the same `filling`."""
    return b"" if filling is None else random.Random(filling).randbytes(length)  # noqa: S311 (no secret)


def _fill_webp(image: bytes, filling: int | None) -> bytes:
    """Return a WebP file without its truncated chunk, or with this chunk filled in.

    The chunk is removed if `filling` is None. A filled chunk becomes longer than declared, because
    the filling decodes to fewer pixels than the original bytes would. The decoder refuses a chunk
    that is too short.
    """
    at = 12
    while at + 8 <= len(image):
        name, length = struct.unpack_from("<4sL", image, at)
        if at + 8 + length > len(image):
            break

        at += 8 + length + length % 2

    if filling is None or at + 8 > len(image):
        return image[:4] + struct.pack("<L", at - 8) + image[8:at]

    present = image[at + 8 :]
    data = present + _filling_bytes(filling, length - len(present) + len(image))
    data += bytes(len(data) % 2)
    chunk: bytes = name + struct.pack("<L", len(data)) + data

    return image[:4] + struct.pack("<L", at + len(chunk) - 8) + image[8:at] + chunk


def _checksums_of_fillings(
    image: bytes, kind: Format, open_file: OpenFile
) -> list[tuple[int, list[int]]]:
    """Return up to two fillings that the decoder accepts, each with the checksums of its rows."""
    found = []
    for filling in range(_MAX_FILLINGS):
        rows = _row_checksums(
            _opaque_gif(image) if kind is GIF else fill_missing_bytes(image, kind, filling),
            filling,
            open_file,
        )
        if rows:
            found.append((filling, rows))

        if len(found) == _NEEDED_FILLINGS:
            break

    return found


def _row_checksums(image: bytes, filling: int, open_file: OpenFile) -> list[int]:
    """Return a checksum for each row, or for each group of rows in a tall picture.

    If decoding fails, the list is empty.
    """
    try:
        with open_file(image) as file:
            file.draft(None, (_CHECKSUM_SIDE, _CHECKSUM_SIDE))
            if not _decode(file, 255 * (filling % 2)):
                return []

            step = -(-file.height // _MAX_COMPARED_ROWS)
            tops = range(0, file.height, step)
            return [crc32(file.crop((0, y, file.width, y + step)).tobytes()) for y in tops]
    except DECODER_ERRORS:
        return []


def _decode(file: ImageFile.ImageFile, background: int) -> bool:
    """Decode as much of a file as possible, and return whether anything could be decoded.

    Args:
        file: A file that may be truncated.
        background: Value of the pixels that are not decoded, 0 or 255.
    """
    _prefill(file, background)
    try:
        file.load()
    except DECODER_ERRORS:
        decoded = bool(file.tile)
        file.tile = []  # nothing is left to decode
        return decoded

    return True


def _prefill(file: ImageFile.ImageFile, value: int) -> None:
    """Set the file's pixels before decoding. Pillow decodes onto them (ImageFile.load_prepare)."""
    bands = len(file.getbands())
    file.im = Image.new(file.mode, file.size, value if bands == 1 else (value,) * bands).im


def _opaque_gif(image: bytes) -> bytes:
    """Return a GIF without transparency, so that missing rows are not transparent, either."""
    at = image.find(b"!\xf9\x04", 13)
    if at < 0:
        return image
    return image[: at + 3] + bytes([image[at + 3] & 0xFE]) + image[at + 4 :]


def _find_intact_rows(
    one: list[int], other: list[int], filling: int, *, bottom_up: bool
) -> IntactPart:
    """Return the rows at the file's beginning whose checksums are the same with both fillings."""
    same = [a == b for a, b in zip(one, other, strict=False)]
    in_order = same[::-1] if bottom_up else same
    share = len(list(takewhile(bool, in_order))) / len(same)
    if all(same[::2]) and share < _NEARLY_ALL and len(same) < _MAX_COMPARED_ROWS // 2:
        return IntactPart(filling, every_second=True)
    return IntactPart(filling, 1 - share, 1.0) if bottom_up else IntactPart(filling, 0.0, share)
