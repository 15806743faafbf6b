"""Read the blocks of a GIF file (GIF89a specification) without decoding their content."""

import re
from collections.abc import Iterator

MAX_BLOCKS = 200_000
"""Maximum number of frames and extensions to read. A file of 20 MiB can contain seven million empty
extensions."""

_MAX_SUB_BLOCKS = 500_000
"""Maximum number of sub-blocks to read in a chain. Encoders put 255 bytes into each sub-block, so a
chain of 20 MiB has 82,000 sub-blocks."""

_BLOCK = re.compile(rb"[,!;]")
"""First byte of a frame, an extension or the trailer. Encoders may leave padding between these
blocks."""


def walk(image: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the first byte and the offset of each block.

    The first byte is `,` for a frame, `!` for an extension, and `;` for the trailer. Only complete
    blocks are yielded.

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

        content = start + 11 + palette_bytes(image[start + 9]) if kind == b"," else start + 2
        at = _after_sub_blocks(image, content)
        yield kind, start


def first_frame_at(image: bytes) -> int | None:
    """Return the offset of the first frame's descriptor, or None if no descriptor is complete."""
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
    """Return the size in bytes of the palette that the flags of a screen or a frame declare."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_sub_blocks(image: bytes, at: int) -> int:
    """Return the offset after a chain of sub-blocks, which ends with an empty sub-block."""
    for _ in range(_MAX_SUB_BLOCKS):
        length = image[at]
        if not length:
            break
        at += 1 + length

    return at + 1
