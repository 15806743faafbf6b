"""TIFF files with many compressions and pixel formats, and raw files that resemble TIFF."""

import struct
from typing import Any

from pictures import encoded, halves, noise
from PIL import Image, TiffImagePlugin

from .case import Case, cut_short, described, failed, part, unreadable, unsupported

SIZE: dict[str, Any] = {"width": 64, "height": 48, "format": "TIFF"}
RED_AND_BLUE = {"red", "blue"}

PLAIN = encoded(halves(), "TIFF")
NOISE = encoded(noise(320, 200), "TIFF")


def directory(*entries: tuple[int, int, int, int], order: str = "<", after: bytes = b"") -> bytes:
    """Return a TIFF with one directory of these (tag, type, count, value) entries, then `after`."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    packed = b"".join(
        struct.pack(order + "HHL", *entry[:3]) + _value(order, entry) for entry in entries
    )
    count = struct.pack(order + "H", len(entries))
    return mark + struct.pack(order + "L", 8) + count + packed + bytes(4) + after


def _value(order: str, entry: tuple[int, int, int, int]) -> bytes:
    form = "HH" if entry[1] == 3 else "L"
    return struct.pack(order + form, *((entry[3], 0) if form == "HH" else (entry[3],)))


def gray(order: str) -> bytes:
    """Return a gray image of 64x48 pixels in this byte order (`<` or `>`)."""
    offset = 8 + 2 + 12 * 8 + 4
    sizes = ((256, 3, 1, 64), (257, 3, 1, 48), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1))
    where = ((273, 4, 1, offset), (278, 3, 1, 48), (279, 4, 1, 64 * 48))
    return directory(*sizes, *where, order=order, after=bytes(range(64)) * 48)


def shared_values() -> bytes:
    """Return a gray image with 1,000 extra entries that all refer to the same million values."""
    offset = 8 + 2 + 12 * 1008 + 4
    sizes = ((256, 3, 1, 64), (257, 3, 1, 48), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1))
    where = ((273, 4, 1, offset), (278, 3, 1, 48), (279, 4, 1, 64 * 48))
    many = ((60_000 + n, 4, 1_000_000, offset) for n in range(1000))
    return directory(*sizes, *where, *many, after=bytes(range(64)) * 48 + bytes(4_000_000))


def deep_gray() -> bytes:
    """Return a big-endian image of 64x48 16-bit gray pixels, like those from ImageJ."""
    offset = 8 + 2 + 12 * 8 + 4
    sizes = ((256, 3, 1, 64), (257, 3, 1, 48), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1))
    where = ((273, 4, 1, offset), (278, 3, 1, 48), (279, 4, 1, 64 * 48 * 2))
    return directory(
        *sizes, *where, order=">", after=struct.pack(">64H", *range(0, 65_536, 1024)) * 48
    )


def floats_with_missing_pixels() -> bytes:
    """Return a floating-point image with two pixels marked as missing, as is common in maps."""
    picture = Image.new("F", (64, 48), 0.0)
    picture.paste(1.0, (32, 0, 64, 48))
    picture.putpixel((3, 3), -3.4e38)
    picture.putpixel((4, 4), float("nan"))
    return encoded(picture, "TIFF")


def overstated() -> bytes:
    """Return a gray image whose directory claims ten times as many bytes as the file has."""
    declared, ten_times = (struct.pack("<HHLL", 279, 4, 1, n * 64 * 48) for n in (1, 10))
    return gray("<").replace(declared, ten_times)


def pages(count: int) -> bytes:
    """Return a TIFF with `count` pages."""
    rest = [halves().rotate(90 * n) for n in range(1, count)]
    return encoded(halves(), "TIFF", save_all=True, append_images=rest)


def rotated() -> bytes:
    """Return an image stored as 64x48 pixels, with an orientation that rotates it by 90 degrees."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274] = 6
    return encoded(halves(), "TIFF", tiffinfo=tags)


COMPRESSIONS = {
    "LZW": "tiff_lzw",
    "Deflate": "tiff_adobe_deflate",
    "PackBits": "packbits",
    "JPEG": "jpeg",
}
RAW = {
    "in DNG format": directory((256, 3, 1, 64), (257, 3, 1, 48), (50706, 1, 4, 0x00000401)),
    "from Nikon": directory((254, 4, 1, 1), (256, 3, 1, 64), (257, 3, 1, 48), (330, 4, 1, 99)),
    "from Canon": b"II*\0\x10\0\0\0CR\2\0"
    + bytes(4)
    + directory((256, 3, 1, 64), (257, 3, 1, 48))[8:],
}

TIFFS: dict[str, Case] = {
    "TIFF": described(PLAIN, colors=RED_AND_BLUE, pages=None, **SIZE),
    **{
        f"TIFF with {name} compression": described(
            encoded(halves(), "TIFF", compression=compression), colors=RED_AND_BLUE, **SIZE
        )
        for name, compression in COMPRESSIONS.items()
    },
    "TIFF with fax compression": described(
        encoded(halves("1"), "TIFF", compression="group4"), mode="1", **SIZE
    ),
    "TIFF gray": described(encoded(halves("L"), "TIFF"), mode="L", **SIZE),
    "TIFF with a palette": described(encoded(halves("P"), "TIFF"), mode="P", **SIZE),
    "TIFF with alpha": described(
        encoded(Image.new("RGBA", (64, 48), (255, 0, 0, 128)), "TIFF"), transparent=True, **SIZE
    ),
    "TIFF CMYK": described(encoded(halves("CMYK"), "TIFF"), mode="CMYK", **SIZE),
    "TIFF Lab": described(encoded(Image.new("LAB", (64, 48), (128, 128, 128)), "TIFF"), **SIZE),
    "TIFF YCbCr": described(encoded(halves("YCbCr"), "TIFF"), colors=RED_AND_BLUE, **SIZE),
    "TIFF with 16 bits": described(
        encoded(Image.new("I;16", (64, 48), 40_000), "TIFF"), bitsPerChannel=16, **SIZE
    ),
    "TIFF with 32 bits": described(
        encoded(Image.new("I", (64, 48), 40_000), "TIFF"), bitsPerChannel=32, **SIZE
    ),
    "TIFF with floats": described(
        encoded(Image.new("F", (64, 48), 0.5), "TIFF"), bitsPerChannel=32, **SIZE
    ),
    "TIFF little-endian": described(gray("<"), mode="L", **SIZE),
    "TIFF big-endian": described(gray(">"), mode="L", **SIZE),
    "TIFF with 16 bits, big-endian": described(
        deep_gray(), mode="I;16B", bitsPerChannel=16, **SIZE
    ),
    "TIFF with floats and missing pixels": described(
        floats_with_missing_pixels(), colors={"black", "white"}, **SIZE
    ),
    "TIFF that claims more bytes than it has": cut_short(overstated(), **SIZE),
    "BigTIFF without a directory": unreadable(
        b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**63 + 5) + bytes(50), "directory"
    ),
    "BigTIFF": described(encoded(halves(), "TIFF", big_tiff=True), colors=RED_AND_BLUE, **SIZE),
    "TIFF rotated": described(rotated(), width=48, height=64),
    "TIFF with three pages": described(
        pages(3), "- Pages: 3", pages=3, colors=RED_AND_BLUE, **SIZE
    ),
    "TIFF with one pixel": described(encoded(Image.new("RGB", (1, 1)), "TIFF"), width=1, height=1),
    "TIFF followed by junk": described(PLAIN + b"junk" * 1000, **SIZE),
    "TIFF without its last 1 %": cut_short(part(NOISE, 0.99), width=320, height=200),
    "TIFF without its last 30 %": cut_short(part(NOISE, 0.7), width=320, height=200),
    "TIFF without its last 70 %": failed(part(NOISE, 0.3), "of the picture is intact"),
    "TIFF without a directory": unreadable(b"II*\0\xff\xff\xff\0", "directory"),
    "TIFF without a size": unreadable(directory((258, 3, 1, 8)), "size"),
    "TIFF without pixels": failed(directory((256, 3, 1, 64), (257, 3, 1, 48))),
    "TIFF cut off in its header": unreadable(PLAIN[:6], "damaged"),
    "TIFF with circular pages": described(
        gray("<")[: 8 + 2 + 12 * 8] + struct.pack("<L", 8) + gray("<")[8 + 2 + 12 * 8 + 4 :], **SIZE
    ),
    "TIFF that claims 4 gigapixels": Case(
        directory((256, 4, 1, 65_000), (257, 4, 1, 65_000)), 413, "ImageTooLarge", ("65000x65000",)
    ),
    "TIFF with 1,000 entries that share a million values": described(shared_values(), **SIZE),
    **{f"a raw file {name}": unsupported(data, "raw file") for name, data in RAW.items()},
}
