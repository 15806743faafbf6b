"""PNG files with many kinds of chunks, both intact and damaged."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from pictures import animation, encoded, halves, noise
from PIL import Image

from .case import Case, cut_short, described, failed, part, patched, unreadable

SIZE: dict[str, Any] = {"width": 64, "height": 48, "format": "PNG"}
RED_AND_BLUE = {"red", "blue"}
SIGNATURE = b"\x89PNG\r\n\x1a\n"

PLAIN = encoded(halves(), "PNG")
NOISE = encoded(noise(320, 200), "PNG")
MOVING = animation("PNG")


def chunk(name: bytes, data: bytes = b"", checksum: int | None = None) -> bytes:
    """Return a PNG chunk. Its checksum is correct unless `checksum` is given."""
    correct = zlib.crc32(name + data)
    length = struct.pack(">L", len(data))
    return length + name + data + struct.pack(">L", correct if checksum is None else checksum)


def insert(*chunks: bytes, image: bytes = PLAIN) -> bytes:
    """Return the file with these chunks inserted right after IHDR."""
    return image[:33] + b"".join(chunks) + image[33:]


def with_wrong_checksum(name: bytes, image: bytes = PLAIN) -> bytes:
    """Return the file with a wrong checksum in the first chunk that has this name."""
    at = image.index(name)
    end = at + 4 + int.from_bytes(image[at - 4 : at], "big")
    return patched(image, end, bytes([image[end] ^ 255]))


def raw_png(
    mode: int, bits: int, rows: list[bytes], width: int, *chunks: bytes, interlace: int = 0
) -> bytes:
    """Return a PNG with these rows, each preceded by the filter byte 0 (PNG third edition, 9.2)."""
    header = struct.pack(">LLBBBBB", width, len(rows), bits, mode, 0, 0, interlace)
    pixels = b"".join(b"\0" + row for row in rows)
    return assemble(header, zlib.compress(pixels), *chunks)


def assemble(header: bytes, pixels: bytes, *chunks: bytes) -> bytes:
    """Return a PNG with this IHDR, these other chunks and these compressed pixels."""
    body = chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND")
    return SIGNATURE + body


def interlaced(picture: Image.Image) -> bytes:
    """Return an RGB image interlaced in seven passes (Adam7; PNG third edition, 8)."""
    width, height = picture.size
    pixels = b"".join(_pass(picture, *steps) for steps in _ADAM7)
    return assemble(struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 1), zlib.compress(pixels))


_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def _pass(picture: Image.Image, left: int, top: int, across: int, down: int) -> bytes:
    data, width = picture.tobytes(), picture.width

    def pixels(y: int) -> Iterator[bytes]:
        for x in range(left, width, across):
            at = 3 * (y * width + x)
            yield data[at : at + 3]

    return b"".join(b"\0" + b"".join(pixels(y)) for y in range(top, picture.height, down))


def small_chunks(image: bytes, size: int) -> bytes:
    """Return the file with its pixels split into chunks of `size` bytes."""
    at = image.index(b"IDAT")
    length = int.from_bytes(image[at - 4 : at], "big")
    data = image[at + 4 : at + 4 + length]
    pieces = b"".join(chunk(b"IDAT", data[o : o + size]) for o in range(0, length, size))
    return image[: at - 4] + pieces + image[at + 8 + length :]


def animated(frames: list[Image.Image]) -> bytes:
    """Return an animated PNG with these frames."""
    first, *rest = frames
    return encoded(first, "PNG", save_all=True, append_images=rest, duration=100)


def rotated() -> bytes:
    """Return an image stored as 64x48 pixels, with EXIF data that rotates it by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(halves(), "PNG", exif=exif)


DEEP = [b"".join(struct.pack(">HHH", 65535, 0, 0) for _ in range(64))] * 48
INTERLACED = interlaced(noise(320, 200))
WHITE = Image.new("RGB", (64, 48), "white")
NEARLY_WHITE = Image.new("RGB", (64, 48), (253, 253, 253))
CLEAR = Image.new("RGBA", (64, 48))

BOMB = zlib.compress(bytes(50_000_000))

TOO_LARGE = {
    "iCCP": chunk(b"iCCP", b"profile\0\0" + BOMB),
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + BOMB),
    "iTXt": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + BOMB),
    "iTXt, uncompressed": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b" " * 3_000_000),
    "tEXt": chunk(b"tEXt", b"Comment\0" + b"x" * 3_000_000),
    "eXIf": chunk(b"eXIf", b"MM\0*" + bytes(3_000_000)),
}
"""Ancillary chunks that are too large, by name. They are ignored."""

WRONG = 0xBAD
WRONG_CHECKSUMS = {
    "pHYs": chunk(b"pHYs", struct.pack(">LLB", 2835, 2835, 1), WRONG),
    "tEXt": chunk(b"tEXt", b"Comment\0hello", WRONG),
    "gAMA": chunk(b"gAMA", struct.pack(">L", 45455), WRONG),
    "iCCP": chunk(b"iCCP", b"profile\0\0junk", WRONG),
    "tIME": chunk(b"tIME", bytes(7), WRONG),
    "cHRM": chunk(b"cHRM", bytes(32), WRONG),
    "sRGB": chunk(b"sRGB", b"\0", WRONG),
    "eXIf": chunk(b"eXIf", b"MM\0*junk", WRONG),
    "tRNS": chunk(b"tRNS", bytes(6), WRONG),
}
"""Ancillary chunks with a wrong checksum, by name. They are ignored."""

ODD_CHUNKS = {
    "a private chunk": chunk(b"iDOT", bytes(28)),
    "an unknown chunk": chunk(b"vnVN", b"x" * 1000),
    "malformed iTXt": chunk(b"iTXt", b"a\0\1\0\0\0junk"),
    "a short pHYs": chunk(b"pHYs", b"\0"),
    "a short gAMA": chunk(b"gAMA", b"\0"),
    "a short cHRM": chunk(b"cHRM", b"\0"),
    "an empty sRGB": chunk(b"sRGB"),
    "an empty iCCP": chunk(b"iCCP"),
    "junk in iCCP": chunk(b"iCCP", b"p\0\0junk"),
    "an empty tEXt": chunk(b"tEXt"),
    "an empty zTXt": chunk(b"zTXt"),
    "an empty eXIf": chunk(b"eXIf"),
    "an empty tRNS": chunk(b"tRNS"),
    "2,000 text chunks": 2000 * chunk(b"tEXt", b"Comment\0hello"),
}
"""Unusual chunks that have no effect on the description."""

PNGS: dict[str, Case] = {
    "PNG RGB": described(PLAIN, colors=RED_AND_BLUE, **SIZE),
    "PNG gray": described(encoded(halves("L"), "PNG"), mode="L", **SIZE),
    "PNG with a palette": described(encoded(halves("P"), "PNG"), mode="P", **SIZE),
    "PNG with 1 bit": described(encoded(halves("1"), "PNG"), bitsPerChannel=1, **SIZE),
    "PNG with 2 bits": described(raw_png(0, 2, [b"\x1b" * 16] * 48, 64), bitsPerChannel=2, **SIZE),
    "PNG with 4 bits": described(raw_png(0, 4, [b"\x5a" * 32] * 48, 64), bitsPerChannel=4, **SIZE),
    "16-bit gray PNG": described(
        encoded(Image.new("I;16", (64, 48), 40_000), "PNG"), bitsPerChannel=16, **SIZE
    ),
    "16-bit color PNG": described(
        raw_png(2, 16, DEEP, 64), bitsPerChannel=16, colors={"red"}, **SIZE
    ),
    "PNG with alpha": described(
        encoded(Image.new("RGBA", (64, 48), (255, 0, 0, 128)), "PNG"), transparent=True
    ),
    "gray PNG with alpha": described(encoded(halves("LA"), "PNG"), mode="LA", **SIZE),
    "fully transparent PNG": described(
        encoded(CLEAR, "PNG"), transparentShare=100, colors=set(), **SIZE
    ),
    "PNG with a transparent color": described(
        encoded(halves(), "PNG", transparency=(0, 0, 255)), transparent=True, colors={"red"}
    ),
    "PNG interlaced": described(interlaced(halves()), colors=RED_AND_BLUE, **SIZE),
    "PNG rotated": described(rotated(), width=48, height=64, exifOrientation=6),
    "PNG with one pixel": described(encoded(Image.new("RGB", (1, 1)), "PNG"), width=1, height=1),
    "PNG with one column": described(
        encoded(Image.new("RGB", (1, 5000)), "PNG"), width=1, height=5000
    ),
    "PNG in one-byte chunks": described(small_chunks(PLAIN, 1), colors=RED_AND_BLUE, **SIZE),
    "PNG with a row that is too long": failed(
        encoded(Image.new("1", (200_000, 2)), "PNG"), "100000", reason="ImageTooLarge"
    ),
    "PNG with a long row": described(
        encoded(Image.new("L", (100_000, 20), 255), "PNG"), colors={"white"}
    ),
    "PNG with 200,000 chunks": failed(insert(200_000 * chunk(b"IDAT")), "chunks"),
    "PNG with one column, truncated": cut_short(
        part(encoded(noise(1, 30_000), "PNG"), 0.9), width=1, height=30_000
    ),
    "PNG with empty pixel chunks": described(insert(3 * chunk(b"IDAT")), **SIZE),
    "PNG followed by junk": described(PLAIN + b"junk" * 1000, **SIZE),
    "PNG animated": described(MOVING, frames=4, animationSeconds=1.0, **SIZE),
    "PNG animation that starts white": described(
        animated([WHITE, NEARLY_WHITE, halves(), WHITE]), "frame 3", frames=4, colors=RED_AND_BLUE
    ),
    "PNG animation that starts transparent": described(
        animated([CLEAR, halves("RGBA")]), frames=2, colors=RED_AND_BLUE
    ),
    **{
        f"PNG with an oversized {name}": described(insert(data), **SIZE)
        for name, data in TOO_LARGE.items()
    },
    **{
        f"PNG with a wrong checksum of {name}": described(insert(data), **SIZE)
        for name, data in WRONG_CHECKSUMS.items()
    },
    **{f"PNG with {name}": described(insert(data), **SIZE) for name, data in ODD_CHUNKS.items()},
    "PNG with a wrong checksum of IHDR": unreadable(
        with_wrong_checksum(b"IHDR"), "damaged", "IHDR"
    ),
    "PNG with a wrong checksum of PLTE": failed(
        with_wrong_checksum(b"PLTE", encoded(halves("P"), "PNG")), "damaged", "PLTE"
    ),
    "PNG with a wrong checksum of IDAT": failed(with_wrong_checksum(b"IDAT"), "damaged", "IDAT"),
    "PNG with a flipped bit": failed(patched(NOISE, 5000, bytes([NOISE[5000] ^ 1])), "damaged"),
    "PNG with junk as pixels": failed(
        assemble(struct.pack(">LLBBBBB", 64, 48, 8, 2, 0, 0, 0), b"junk" * 99), "damaged"
    ),
    "PNG without pixels": failed(
        SIGNATURE + chunk(b"IHDR", PLAIN[16:29]) + chunk(b"IEND"), "damaged"
    ),
    "PNG in Apple's CgBI variant": unreadable(
        PLAIN[:8] + chunk(b"CgBI", bytes(4)) + PLAIN[8:], "IHDR"
    ),
    "PNG damaged by a transfer in text mode": unreadable(
        b"\x89PNG\n\x1a\n" + PLAIN[8:], "text mode"
    ),
    "PNG with only a signature": unreadable(SIGNATURE, "damaged"),
    "PNG cut off in its header": unreadable(PLAIN[:20], "damaged"),
    "PNG with zero width": unreadable(
        assemble(struct.pack(">LLBBBBB", 0, 48, 8, 2, 0, 0, 0), zlib.compress(b"")), "zero"
    ),
    "PNG that claims 3.6 gigapixels": Case(
        assemble(struct.pack(">LLBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0), b""),
        413,
        "ImageTooLarge",
        ("60000x60000",),
    ),
    "PNG without IEND": cut_short(PLAIN[:-12], colors=RED_AND_BLUE, **SIZE),
    "PNG without the checksum of IEND": cut_short(PLAIN[:-4], colors=RED_AND_BLUE, **SIZE),
    "PNG without its last 1 %": cut_short(part(NOISE, 0.99), width=320, height=200),
    "PNG without its last 30 %": cut_short(part(NOISE, 0.7), width=320, height=200),
    "PNG without its last 70 %": failed(part(NOISE, 0.3), "of the picture is intact"),
    "interlaced PNG without its last 30 %": cut_short(part(INTERLACED, 0.7), width=320, height=200),
    "interlaced PNG without its last 70 %": failed(part(INTERLACED, 0.3)),
    "PNG animation cut off in a later frame": cut_short(
        part(MOVING, 0.8), colors=RED_AND_BLUE, **SIZE
    ),
}
