"""Read the boxes of HEIC and AVIF files (ISO/IEC 14496-12; HEIF: ISO/IEC 23008-12)."""

from collections.abc import Iterator
from dataclasses import dataclass

MAX_BOXES = 10_000
"""Maximum number of boxes to read at one level. An image of 100 megapixels in tiles of 512x512
pixels has about 500 properties, each of which is a box."""

_IMAGE_BOXES = frozenset({b"ftyp", b"meta", b"moov", b"mdat"})
"""Boxes that contain the image. The data after them, such as a video that a phone appended, may be
incomplete, or may not be a box at all."""


class BoxError(ValueError):
    """The boxes are invalid. The message explains why, for `header.damaged`."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box and the location of its content."""

    name: bytes
    start: int
    """Offset of the content, which follows the header."""
    end: int
    """Offset of the content's end according to the header. It may be beyond the end of the file."""


def walk(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two offsets, and stop at the first invalid box."""
    at = start

    for _ in range(MAX_BOXES):
        if at + 8 > min(end, len(data)):
            return

        length, header = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, header = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if length == 0:
            length = end - at
        if length < header:
            return

        yield Box(bytes(data[at + 4 : at + 8]), at + header, at + length)
        at += length


def find(data: bytes, path: tuple[bytes, ...]) -> Box | None:
    """Return the first box at a path of names, such as (moov, trak); None if there is none.

    The boxes in `meta` follow four bytes of version and flags.
    """
    start, end, found = 0, len(data), None

    for name in path:
        found = next((box for box in walk(data, start, end) if box.name == name), None)
        if found is None:
            return None

        start, end = found.start + (4 if name == b"meta" else 0), found.end

    return found


def read_size(data: bytes) -> tuple[int, int]:
    """Return the width and height of the primary image in pixels.

    The rotation that the file specifies is applied.

    Raises:
        BoxError: the file declares no size.
    """
    size = _item_size(data) or _track_size(data)
    if size is None:
        raise BoxError("it declares no size")
    return size


def declared_length(data: bytes) -> int:
    """Return the length that the file's boxes declare, not counting data after the image."""
    outermost = walk(data, 0, len(data))
    return max((box.end for box in outermost if box.name in _IMAGE_BOXES), default=len(data))


def _item_size(data: bytes) -> tuple[int, int] | None:
    """Return the primary item's size after cropping and rotation (ISO/IEC 23008-12, 6.5)."""
    container = find(data, (b"meta", b"iprp", b"ipco"))
    if container is None:
        return None

    properties = list(walk(data, container.start, container.end))
    own = [
        properties[n - 1] for n in _property_numbers(data) if 0 < n <= len(properties)
    ] or properties
    by_name = {box.name: data[box.start : min(box.end, box.start + 16)] for box in reversed(own)}
    size = by_name.get(b"ispe", b"")
    if len(size) < 12:
        return None

    width, height = (int.from_bytes(size[at : at + 4], "big") for at in (4, 8))
    width, height = _cropped(by_name.get(b"clap", b""), width, height)
    quarter = by_name.get(b"irot", b"") in (b"\1", b"\3")
    return (height, width) if quarter else (width, height)


def _cropped(aperture: bytes, width: int, height: int) -> tuple[int, int]:
    """Return the size of the clean aperture, which excludes block-alignment padding."""
    if len(aperture) < 16:
        return width, height

    parts = [int.from_bytes(aperture[at : at + 4], "big") for at in (0, 4, 8, 12)]
    inner_width, inner_height = (
        numerator // denominator if denominator else 0
        for numerator, denominator in (parts[:2], parts[2:])
    )
    return min(width, inner_width) or width, min(height, inner_height) or height


def _property_numbers(data: bytes) -> list[int]:
    """Return the numbers of the primary item's properties (`pitm` and `ipma`), counted from 1."""
    primary, links = find(data, (b"meta", b"pitm")), find(data, (b"meta", b"iprp", b"ipma"))
    if primary is None or links is None:
        return []

    wide = data[primary.start : primary.start + 1] != b"\0"
    item = int.from_bytes(data[primary.start + 4 : primary.start + (8 if wide else 6)], "big")
    body = data[links.start : links.end]
    id_bytes = 2 if body[:1] == b"\0" else 4
    index_bytes = 2 if body[3:4] and body[3] & 1 else 1

    return _associations(item, body, id_bytes, index_bytes)


def _associations(item: int, body: bytes, id_bytes: int, index_bytes: int) -> list[int]:
    """Return the numbers of an item's properties according to `ipma` (ISO/IEC 23008-12, 9.3.1)."""
    at = 8

    for _ in range(min(int.from_bytes(body[4:8], "big"), MAX_BOXES)):
        if at >= len(body) - id_bytes:
            break

        found, count = int.from_bytes(body[at : at + id_bytes], "big"), body[at + id_bytes]
        at += id_bytes + 1

        if found == item:
            entries = (
                body[o : o + index_bytes] for o in range(at, at + count * index_bytes, index_bytes)
            )
            mask = (1 << (8 * index_bytes - 1)) - 1  # the highest bit means "essential"
            return [int.from_bytes(entry, "big") & mask for entry in entries]

        at += count * index_bytes

    return []


def _track_size(data: bytes) -> tuple[int, int] | None:
    """Return the size of the first track (ISO/IEC 14496-12, 8.3.2), or None if it is missing.

    This size is used for files without a still image.
    """
    header = find(data, (b"moov", b"trak", b"tkhd"))
    if header is None or header.end > len(data) or header.end - header.start < 8:
        return None

    width, height = (
        int.from_bytes(data[header.end - o : header.end - o + 4], "big") >> 16 for o in (8, 4)
    )
    return (width, height) if width and height else None
