"""The blocks of a GIF file (GIF89a specification), walked without looking into them."""

import re
from collections.abc import Iterator

MAX_BLOCKS = 200_000
"""Frames and extensions. A file of 20 MiB can hold seven million empty ones."""

_MAX_SUB_BLOCKS = 500_000
"""In one chain. Encoders fill them with 255 bytes: 20 MiB take 82,000."""

_BLOCK = re.compile(rb"[,!;]")
"""Introduces a frame, an extension or the end. Encoders may leave padding in between."""


def walk(image: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each block's introducer and offset: `,` a frame, `!` an extension, `;` the end.

    A frame is yielded once it is known to be whole.

    Raises:
        IndexError: the file ends within a block.
    """
    at = 13 + palette_bytes(image[10])
    for _ in range(MAX_BLOCKS):
        block = _BLOCK.search(image, at)
        if block is None:
            raise IndexError("the file ends before its trailer")
        start, kind = block.start(), block[0]
        if kind == b";":
            yield kind, start
            return
        begins = start + 11 + palette_bytes(image[start + 9]) if kind == b"," else start + 2
        at = _after_sub_blocks(image, begins)
        yield kind, start


def first_frame_at(image: bytes) -> int | None:
    """Return the offset of the first frame's descriptor; None if no whole one is near the start."""
    at = 13 + palette_bytes(image[10])
    for _ in range(MAX_BLOCKS):
        block = _BLOCK.search(image, at)
        if block is None or block[0] == b";" or block.start() + 9 > len(image):
            return None
        if block[0] == b",":
            return block.start()
        try:
            at = _after_sub_blocks(image, block.start() + 2)
        except IndexError:
            return None

    return None


def palette_bytes(flags: int) -> int:
    """Return the size of the palette that a screen's or a frame's flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_sub_blocks(image: bytes, at: int) -> int:
    """Skip a chain of sub-blocks, each led by its length, up to an empty one."""
    for _ in range(_MAX_SUB_BLOCKS):
        length = image[at]
        if not length:
            break
        at += 1 + length
    return at + 1
