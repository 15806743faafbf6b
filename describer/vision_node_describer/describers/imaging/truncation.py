"""Files that end too early: whether a file does, and how much of its picture is there.

What is missing is filled in twice, with different bytes. Rows that come out the same both times do
not depend on the filling, so they are there; the others are left out. That asks nothing of a
decoder but to decode, and holds for every format.
"""

import random
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

LEAST_SHARE = 0.5
"""Of its rows that a picture must have to be described; from less, nobody tells what it shows."""

_NEARLY_ALL = 0.9
"""Share of rows in one piece from which it is worth more than every second one from top to bottom."""

_FILLINGS = 6
"""Tried at most: some decoders refuse some bytes."""

_MOST_ROWS = 20_000
"""Compared one by one; a picture of one column may have a hundred million."""

_ENOUGH_FILLINGS = 2

_SURVEY_SIDE = 256
"""Pixels of the shorter side at which a JPEG is decoded to find its rows: 8 times fewer, 10 times
faster."""

_PADDING_BYTES = 4096
"""Zeros at a JPEG's end that are padding; fewer may be pixels: those of a plain ground can be all
zeros."""

_LONG_BMP_HEADER = 40
"""Bytes of the first header whose sizes have 32 bits (BITMAPINFOHEADER)."""

_END_OF_JPEG = b"\xff\xd9"
_NO_MARKERS = bytes([*range(255), 0])
"""Filling for a JPEG must hold no FF, which would begin a marker."""

TRUNCATED = (OSError, EOFError, SyntaxError, ValueError, IndexError, RuntimeError, struct.error)
"""What Pillow's decoders raise when a file ends too early; what is decoded by then stays."""

Open = Callable[[bytes], ImageFile.ImageFile]


@dataclass(frozen=True, slots=True)
class Intact:
    """The part of a picture that is there."""

    filling: int | None
    """Which filling stands for the rest; None for none."""
    top: float = 0.0
    bottom: float = 1.0
    """First row, and the one behind the last, as shares of the height."""
    every_second: bool = False
    """Whether only rows 0, 2, 4 … are there: of an interlaced PNG or GIF, whose last pass has the
    others."""


def ends_early(image: bytes, kind: Format, animation: Animation | None = None) -> bool:
    """Return whether a file with a sound header ends before its end mark, or before its declared length.

    Args:
        image: The file.
        kind: Its format.
        animation: What count_frames() returned for it, if that was called already.
    """
    if kind in (GIF, PNG, WEBP):
        return (animation or count_frames(image, kind)).cut
    if kind is JPEG:
        # An embedded preview has an end mark, too.
        header = _jpeg_header(image)
        return header is not None and image.rfind(_END_OF_JPEG) < (header.scan_at or len(image))
    return len(image) < _declared_length(image, kind)


def intact_part(image: bytes, kind: Format, open_file: Open) -> Intact:
    """Return which rows are there of a file that ends early.

    Args:
        image: The file.
        kind: Its format.
        open_file: Opens a file of that format by Pillow.

    Raises:
        DescribeError: ImageUnreadable: less than half of the picture is there.
    """
    if kind is JPEG and _has_a_whole_scan(image):
        return Intact(None)
    if kind is WEBP and count_frames(image, kind).frames > 1:
        return Intact(None)
    # Not of a TIFF: some writers declare more than they write.
    if kind is not TIFF and 2 * len(image) < _declared_length(image, kind):
        raise _too_little(kind, len(image) / _declared_length(image, kind))

    found = _surveys(image, kind, open_file)
    if len(found) < _ENOUGH_FILLINGS:
        raise damaged(kind, "it ends too early for its format")

    (_, one), (filling, other) = found
    intact = _same_rows(one, other, filling, upwards=kind is BMP and _is_upwards(image))
    share = intact.bottom - intact.top
    if share < LEAST_SHARE:
        raise _too_little(kind, share)

    return intact


def completed(image: bytes, kind: Format, filling: int | None) -> bytes:
    """Return a file that ends early with its missing bytes filled in, so that a decoder reads to its end.

    PNG and GIF stay as they are: Pillow keeps what it has decoded of them.
    """
    if kind is JPEG:
        # An interrupted transfer may leave a file of full size; half a marker would swallow what
        # follows.
        data = image.rstrip(b"\0")
        there = (data if len(image) - len(data) >= _PADDING_BYTES else image).rstrip(b"\xff")
        return there + _filler(filling, len(there)).translate(_NO_MARKERS) + _END_OF_JPEG

    if kind is WEBP:
        return _completed_webp(image, filling)
    if kind in (PNG, GIF):
        return image

    missing = max(0, _declared_length(image, kind) - len(image))
    return image + _filler(filling, min(missing, len(image)))


def decode_what_is_there(file: ImageFile.ImageFile, intact: Intact) -> Image.Image:
    """Return the intact rows of a file that completed() has made, without its others."""
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


def _too_little(kind: Format, share: float) -> DescribeError:
    return damaged(kind, f"only {share:.0%} of the picture is there")


def _jpeg_header(image: bytes) -> JpegHeader | None:
    try:
        return read_jpeg_header(image)
    except JpegError:
        return None


def _has_a_whole_scan(image: bytes) -> bool:
    """Return whether a progressive JPEG has all of the picture in a coarse version: a second scan begins."""
    header = _jpeg_header(image)
    if header is None or not header.progressive or header.scan_at is None:
        return False
    return image.find(b"\xff\xda", header.scan_at + 2) >= 0


def _declared_length(image: bytes, kind: Format) -> int:
    """Return the bytes that the file should have by its header; its own length where no header tells."""
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
    """Return where the rows of an uncompressed BMP end: each fills up to four bytes."""
    (offset, size) = struct.unpack_from("<LL", image, 10)
    if size < _LONG_BMP_HEADER:
        width, height, _, bits = struct.unpack_from("<HHHH", image, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<llHHL", image, 18)

    run_lengths = compression in (1, 2)
    rows = 0 if run_lengths else abs(height) * (-(-width * bits // 32) * 4)
    return int(offset + rows)


def _is_upwards(image: bytes) -> bool:
    """Return whether a BMP begins with its lowest row, as all do whose height is positive."""
    size, _, height = struct.unpack_from("<Lll", image, 14)
    return bool(size < _LONG_BMP_HEADER or height > 0)


def _tiff_length(image: bytes) -> int:
    try:
        return end_of_pixels(image)
    except TiffError:
        return len(image)


def _filler(filling: int | None, length: int) -> bytes:
    """Return bytes that stand for missing ones: the same for the same number."""
    return b"" if filling is None else random.Random(filling).randbytes(length)  # noqa: S311 (no secret)


def _completed_webp(image: bytes, filling: int | None) -> bytes:
    """Return a WebP of its whole frames, or a still one whose last chunk is filled in beyond its end.

    Beyond, because filling uses up more bytes than the picture did, and the decoder refuses what is
    short.
    """
    at = 12
    while at + 8 <= len(image):
        name, length = struct.unpack_from("<4sL", image, at)
        if at + 8 + length > len(image):
            break
        at += 8 + length + length % 2

    if filling is None or at + 8 > len(image):
        return image[:4] + struct.pack("<L", at - 8) + image[8:at]

    there = image[at + 8 :]
    data = there + _filler(filling, length - len(there) + len(image))
    data += bytes(len(data) % 2)
    chunk: bytes = name + struct.pack("<L", len(data)) + data

    return image[:4] + struct.pack("<L", at + len(chunk) - 8) + image[8:at] + chunk


def _surveys(image: bytes, kind: Format, open_file: Open) -> list[tuple[int, list[int]]]:
    """Return two fillings that the decoder takes, each with the checksums of the rows that it leads to."""
    found = []
    for filling in range(_FILLINGS):
        rows = _survey(
            _opaque_gif(image) if kind is GIF else completed(image, kind, filling),
            filling,
            open_file,
        )
        if rows:
            found.append((filling, rows))
        if len(found) == _ENOUGH_FILLINGS:
            break

    return found


def _survey(image: bytes, filling: int, open_file: Open) -> list[int]:
    """Return a checksum of each row, or of each few of a very high picture; none if the decoder refuses."""
    try:
        with open_file(image) as file:
            file.draft(None, (_SURVEY_SIDE, _SURVEY_SIDE))
            if not _decode(file, filling % 2):
                return []
            step = -(-file.height // _MOST_ROWS)
            tops = range(0, file.height, step)
            return [crc32(file.crop((0, y, file.width, y + step)).tobytes()) for y in tops]
    except TRUNCATED:
        return []


def _decode(file: ImageFile.ImageFile, ground: int) -> bool:
    """Decode onto zeros (ground 0) or onto the largest values (1); return whether anything was decoded."""
    with _on_ground(file, ground):
        try:
            file.load()
        except TRUNCATED:
            decoded = bool(file.tile)
            file.tile = []  # what is decoded by now is all there is
            return decoded

    return True


@contextmanager
def _on_ground(file: ImageFile.ImageFile, ground: int) -> Iterator[None]:
    """Give the file pixels to decode onto. Pillow keeps those that are there (ImageFile.load_prepare)."""
    value = 255 * ground
    bands = len(file.getbands())
    file.im = Image.new(file.mode, file.size, value if bands == 1 else (value,) * bands).im
    yield


def _opaque_gif(image: bytes) -> bytes:
    """Return a GIF that shows its transparent color; missing rows would be transparent, too."""
    at = image.find(b"!\xf9\x04", 13)
    if at < 0:
        return image
    return image[: at + 3] + bytes([image[at + 3] & 0xFE]) + image[at + 4 :]


def _same_rows(one: list[int], other: list[int], filling: int, *, upwards: bool) -> Intact:
    """Return the rows that are the same in both, from the end at which the file begins."""
    same = [a == b for a, b in zip(one, other, strict=False)]
    in_order = same[::-1] if upwards else same
    share = len(list(takewhile(bool, in_order))) / len(same)
    if all(same[::2]) and share < _NEARLY_ALL and len(same) < _MOST_ROWS // 2:
        return Intact(filling, every_second=True)
    return Intact(filling, 1 - share, 1.0) if upwards else Intact(filling, 0.0, share)
