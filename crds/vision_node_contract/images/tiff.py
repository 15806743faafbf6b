"""Read the directories of a TIFF or BigTIFF file (TIFF 6.0) without decoding pixels."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

MAX_PAGES = 10_000
"""Maximum number of pages to count."""

MAX_ENTRIES = 1024
"""Maximum number of entries to read in a directory. Directories of real images have a few dozen."""

MAX_STRIPS = 100_000
"""Maximum number of strips or tiles to read. An image of 100 megapixels has about 10,000 strips if
each strip is one row."""

_INTEGERS = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}
"""Format characters of the `struct` module by TIFF field type, for the integer types in use."""

_NEW_SUBFILE_TYPE, _WIDTH, _HEIGHT = 254, 256, 257
_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES = 273, 279, 324, 325
_PARTS = (_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES)
_SUB_DIRECTORIES, _DNG_VERSION = 330, 50706
_REDUCED_RESOLUTION = 1


class TiffError(ValueError):
    """The directories are invalid. The message explains why, for `header.damaged`."""


@dataclass(frozen=True, slots=True)
class TiffHeader:
    """Information from the first directory."""

    width: int
    """Width in pixels, as stored."""
    height: int
    raw: bool
    """Whether the file is a camera's raw file, in which the first image is a thumbnail."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """The byte order and the size of the numbers in a file."""

    order: str
    """Byte order: `<` or `>`, as in struct."""
    big: bool
    """Whether the file is a BigTIFF file, which has 64-bit offsets."""

    def number(self, data: bytes, at: int) -> int:
        """Read an offset or a count."""
        value: int = struct.unpack_from(self.order + ("Q" if self.big else "L"), data, at)[0]
        return value


def read_tiff_header(image: bytes) -> TiffHeader:
    """Return the information from the first directory.

    Raises:
        TiffError: the file has no first directory, or that directory declares no size.
    """
    wanted = {_NEW_SUBFILE_TYPE: 1, _WIDTH: 1, _HEIGHT: 1, _SUB_DIRECTORIES: 1, _DNG_VERSION: 1}
    tags = _first_directory(image, wanted)
    width, height = (next(iter(tags.get(tag, [])), 0) for tag in (_WIDTH, _HEIGHT))
    if not width or not height:
        raise TiffError("its first directory declares no size")

    reduced = tags.get(_NEW_SUBFILE_TYPE) == [_REDUCED_RESOLUTION]
    raw = _DNG_VERSION in tags or (reduced and _SUB_DIRECTORIES in tags) or image[8:10] == b"CR"

    return TiffHeader(width, height, raw)


def end_of_pixels(image: bytes) -> int:
    """Return the offset at which the first page's pixels end, or 0 if its directory lists none.

    Raises:
        TiffError: the file has no first directory.
    """
    tags = _first_directory(image, dict.fromkeys(_PARTS, MAX_STRIPS))

    offsets = tags.get(_STRIP_OFFSETS) or tags.get(_TILE_OFFSETS, [])
    lengths = tags.get(_STRIP_BYTES) or tags.get(_TILE_BYTES, [])

    parts = zip(offsets, lengths, strict=False)
    return max((offset + length for offset, length in parts), default=0)


def count_pages(image: bytes) -> int:
    """Return the number of directories in the file, but at least 1 and at most MAX_PAGES."""
    seen: set[int] = set()

    try:
        layout, at = _start(image)
        while at and at not in seen and len(seen) < MAX_PAGES:
            next_at = _next(image, layout, at)
            seen.add(at)
            at = next_at
    except (struct.error, OverflowError):
        pass  # a pointer beyond the end of the file ends the chain of directories

    return max(1, len(seen))


def _start(image: bytes) -> tuple[_Layout, int]:
    order = "<" if image.startswith(b"II") else ">"
    big = image[2:4] in (b"+\0", b"\0+")
    layout = _Layout(order, big)

    return layout, layout.number(image, 8 if big else 4)


def _next(image: bytes, layout: _Layout, at: int) -> int:
    count, size, start = _entries(image, layout, at)
    return layout.number(image, start + count * size)


def _entries(image: bytes, layout: _Layout, at: int) -> tuple[int, int, int]:
    """Return how many entries a directory has, their size in bytes, and the first one's offset."""
    if layout.big:
        return struct.unpack_from(layout.order + "Q", image, at)[0], 20, at + 8
    return struct.unpack_from(layout.order + "H", image, at)[0], 12, at + 2


def _first_directory(image: bytes, wanted: Mapping[int, int]) -> dict[int, list[int]]:
    """Return the integers of the tags in `wanted`, which maps each tag to its maximum count.

    The maximum counts are needed because, in a hostile file, a thousand entries may share a million
    values.

    Raises:
        TiffError: the file ends before its first directory.
    """
    tags: dict[int, list[int]] = {}

    try:
        layout, at = _start(image)
        count, size, start = _entries(image, layout, at)

        for entry in range(start, start + min(count, MAX_ENTRIES) * size, size):
            tag, kind = struct.unpack_from(layout.order + "HH", image, entry)
            if tag in wanted and tag not in tags:
                tags[tag] = _values(image, layout, entry, kind, wanted[tag])
    except (struct.error, OverflowError) as error:
        if not tags:
            raise TiffError("its first directory is missing") from error

    return tags


def _values(image: bytes, layout: _Layout, entry: int, kind: int, max_count: int) -> list[int]:
    count = layout.number(image, entry + 4)
    form = _INTEGERS.get(kind)
    if form is None or not count:
        return []

    inline, size = entry + (12 if layout.big else 8), struct.calcsize(layout.order + form)
    fits = count * size <= (8 if layout.big else 4)
    at = inline if fits else layout.number(image, inline)
    readable = min(count, max_count, (len(image) - at) // size)
    if readable <= 0:
        return []

    return list(struct.unpack_from(f"{layout.order}{readable}{form}", image, at))
