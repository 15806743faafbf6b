"""BMP files with various headers, pixel formats and kinds of damage."""

import struct
from typing import Any

from pictures import encoded, halves, noise
from PIL import Image

from .case import Case, cut_short, described, failed, part, patched, unreadable

SIZE: dict[str, Any] = {"width": 64, "height": 48, "format": "BMP"}
RED_AND_BLUE = {"red", "blue"}

PLAIN = encoded(halves(), "BMP")
NOISE = encoded(noise(320, 200), "BMP")


def top_down() -> bytes:
    """Return a file whose height is negative to indicate that its rows are stored top-down."""
    flipped = encoded(halves().transpose(Image.Transpose.FLIP_TOP_BOTTOM), "BMP")
    return patched(flipped, 22, struct.pack("<l", -48))


def os2_header() -> bytes:
    """Return a file with an OS/2 1.x header."""
    header = struct.pack("<LHHHH", 12, 64, 48, 1, 24)
    return struct.pack("<2sLHHL", b"BM", 26 + 9216, 0, 0, 26) + header + PLAIN[54:]


def sixteen_bits() -> bytes:
    """Return a red image with five bits per channel."""
    header = struct.pack("<LllHHLLllLL", 40, 64, 48, 1, 16, 0, 6144, 0, 0, 0, 0)
    return struct.pack("<2sLHHL", b"BM", 54 + 6144, 0, 0, 54) + header + b"\0\x7c" * 3072


def run_lengths() -> bytes:
    """Return a run-length encoded image that uses a single palette color."""
    header = struct.pack("<LllHHLLllLL", 40, 64, 48, 1, 8, 1, 0, 0, 0, 2, 0)
    pixels = 48 * b"\x40\1\0\0" + b"\0\1"
    offset = 54 + 8
    palette = bytes((0, 0, 0, 0, 0, 0, 255, 0))

    file_header = struct.pack("<2sLHHL", b"BM", offset + len(pixels), 0, 0, offset)
    return file_header + header + palette + pixels


BMPS: dict[str, Case] = {
    "BMP": described(PLAIN, colors=RED_AND_BLUE, **SIZE),
    "BMP with 1 bit": described(encoded(halves("1"), "BMP"), mode="1", **SIZE),
    "BMP gray": described(encoded(halves("L"), "BMP"), mode="L", **SIZE),
    "BMP with a palette": described(encoded(halves("P"), "BMP"), mode="P", **SIZE),
    "BMP with 32 bits": described(encoded(halves("RGBA"), "BMP"), colors=RED_AND_BLUE, **SIZE),
    "BMP with 16 bits": described(sixteen_bits(), colors={"red"}, **SIZE),
    "BMP stored top-down": described(top_down(), colors=RED_AND_BLUE, **SIZE),
    "BMP with an OS/2 header": described(os2_header(), colors=RED_AND_BLUE, **SIZE),
    "BMP with run-length encoding": described(run_lengths(), colors={"red"}, **SIZE),
    "BMP with one pixel": described(encoded(Image.new("RGB", (1, 1)), "BMP"), width=1, height=1),
    "BMP followed by junk": described(PLAIN + b"junk" * 1000, **SIZE),
    "BMP without its last 1 %": cut_short(part(NOISE, 0.99), width=320, height=200),
    "BMP without its last 30 %": cut_short(part(NOISE, 0.7), width=320, height=200),
    "BMP without its last 70 %": failed(part(NOISE, 0.3), "of the picture is intact"),
    "BMP cut off in its header": unreadable(PLAIN[:20], "damaged"),
    "BMP with zero width": unreadable(patched(PLAIN, 18, bytes(4)), "zero"),
    "BMP that claims 2.5 gigapixels": Case(
        patched(PLAIN, 18, struct.pack("<ll", 50_000, 50_000)),
        413,
        "ImageTooLarge",
        ("50000x50000",),
    ),
}
