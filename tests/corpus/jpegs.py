"""JPEG files like those from cameras, editors and phones, and files damaged in transfer."""

import struct
from typing import Any

from pictures import encoded, halves, noise
from PIL import Image

from .case import Case, cut_short, described, failed, part, patched, unreadable

SIZE: dict[str, Any] = {"width": 64, "height": 48, "format": "JPEG"}
RED_AND_BLUE = {"red", "blue"}

PLAIN = encoded(halves(), "JPEG", quality=90)
NOISE = encoded(noise(320, 200), "JPEG")
PROGRESSIVE = encoded(noise(320, 200), "JPEG", progressive=True)
END = b"\xff\xd9"
ALL_WHITE = encoded(Image.new("L", (800, 600), 255), "JPEG", optimize=True)
MPO = encoded(
    halves(), "MPO", save_all=True, append_images=[halves().transpose(Image.Transpose.ROTATE_180)]
)


def segment(marker: int, content: bytes) -> bytes:
    """Return a JPEG segment with this marker and content."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_segments(*segments: bytes, image: bytes = PLAIN) -> bytes:
    """Return the file with these segments inserted right after the start marker."""
    return image[:2] + b"".join(segments) + image[2:]


def rotated(number: int) -> bytes:
    """Return an image stored as 64x48 pixels, with this EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = number
    return encoded(halves(), "JPEG", exif=exif)


def before_scan(image: bytes, data: bytes) -> bytes:
    """Return the file with this data inserted before the marker of the first scan."""
    at = image.index(b"\xff\xda")
    return image[:at] + data + image[at:]


def xmp(size: int) -> bytes:
    """Return a segment with `size` bytes of XMP data."""
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b" " * size)


def profile_segment(number: int, count: int) -> bytes:
    """Return segment `number` of an all-zero profile in `count` segments (ICC.1:2022, B.4)."""
    return segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + bytes(9000))


FRAME = PLAIN.index(b"\xff\xc0")
EXIF_LOOP = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x08\0\0\0\x08"

SAVED: dict[str, dict[str, Any]] = {
    "progressive": {"progressive": True},
    "optimized": {"optimize": True},
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "with quality 1": {"quality": 1},
    "with quality 100": {"quality": 100},
    "with restart markers": {"restart_marker_blocks": 2},
    "stored as RGB": {"keep_rgb": True},
    "with a comment": {"comment": b"<script>alert(1)</script>"},
}

JPEGS: dict[str, Case] = {
    **{
        f"JPEG {name}": described(encoded(halves(), "JPEG", **options), **SIZE)
        for name, options in SAVED.items()
    },
    **{
        f"JPEG with orientation {n}": described(rotated(n), exifOrientation=n, storedWidth=64)
        for n in range(1, 9)
    },
    "JPEG with invalid orientation 9": described(rotated(9), exifOrientation=1, **SIZE),
    "JPEG gray": described(encoded(halves("L"), "JPEG"), mode="L", **SIZE),
    "JPEG CMYK": described(encoded(halves("CMYK"), "JPEG"), mode="CMYK", **SIZE),
    "JPEG with one pixel": described(encoded(Image.new("RGB", (1, 1)), "JPEG"), width=1, height=1),
    "JPEG with one column": described(
        encoded(Image.new("RGB", (1, 3000)), "JPEG"), width=1, height=3000
    ),
    "JPEG with one row": described(
        encoded(Image.new("RGB", (3000, 1)), "JPEG"), width=3000, height=1
    ),
    # Phones and cameras append a second image, for example a depth map or a preview.
    "JPEG with two images": described(
        MPO, mediaType="image/jpeg", frames=1, colors=RED_AND_BLUE, **SIZE
    ),
    "JPEG with two images, the second truncated": described(part(MPO, 0.9), **SIZE),
    "JPEG with three images": described(
        encoded(halves(), "MPO", save_all=True, append_images=[halves(), halves()]), **SIZE
    ),
    "JPEG with a broken list of images": described(
        with_segments(segment(0xE2, b"MPF\0MM\0*junk")), **SIZE
    ),
    "JPEG with an empty list of images": described(with_segments(segment(0xE2, b"MPF\0")), **SIZE),
    "JPEG in Ultra HDR": described(with_segments(xmp(0) + b"", image=MPO), **SIZE),
    # Metadata of any size may precede the pixels.
    "JPEG with 41 segments of XMP": described(with_segments(*41 * [xmp(65_000)]), **SIZE),
    "JPEG with a profile in 100 segments": described(
        with_segments(*(profile_segment(n, 100) for n in range(1, 101))), **SIZE
    ),
    "JPEG with 5,000 comments": described(with_segments(5000 * segment(0xFE, b"x")), **SIZE),
    "JPEG with a million segments": unreadable(
        with_segments(1_000_000 * segment(0xFE, b"")), "segments"
    ),
    "JPEG with fill bytes": described(before_scan(PLAIN, b"\xff" * 1000), **SIZE),
    "JPEG with 10 MB of fill bytes": described(before_scan(PLAIN, b"\xff" * 10_000_000), **SIZE),
    "JPEG with junk between segments": described(before_scan(PLAIN, b"junk"), **SIZE),
    "JPEG with junk as EXIF data": described(
        with_segments(segment(0xE1, b"Exif\0\0junk" * 9)), **SIZE
    ),
    "JPEG with circular EXIF data": described(with_segments(segment(0xE1, EXIF_LOOP)), **SIZE),
    "JPEG with Photoshop metadata": described(
        with_segments(segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04junk")), **SIZE
    ),
    "JPEG with an embedded preview": described(
        with_segments(segment(0xE1, b"Exif\0\0" + PLAIN)), **SIZE
    ),
    # Data after the end of the image is ignored.
    "JPEG followed by zeros": described(PLAIN + bytes(5000), **SIZE),
    "JPEG followed by a video": described(
        PLAIN + b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40, **SIZE
    ),
    "JPEG followed by many scan markers": described(PLAIN + 1000 * b"\xff\xda\xff\xd9", **SIZE),
    "JPEG followed by a ZIP archive": described(PLAIN + b"PK\3\4" + b"junk" * 100, **SIZE),
    # These files are damaged or truncated, for example by an interrupted transfer.
    "JPEG without its end marker": cut_short(PLAIN.removesuffix(END), colors=RED_AND_BLUE, **SIZE),
    "JPEG of a white area without its end marker": cut_short(
        ALL_WHITE.removesuffix(END), colors={"white"}
    ),
    "JPEG without its last byte": cut_short(PLAIN[:-1], **SIZE),
    "JPEG without its last 1 %": cut_short(part(NOISE, 0.99), width=320, height=200),
    "JPEG without its last 30 %": cut_short(part(NOISE, 0.7), width=320, height=200),
    "JPEG with its last 30 % replaced by zeros": cut_short(
        part(NOISE, 0.7).ljust(len(NOISE), b"\0"), width=320, height=200
    ),
    "JPEG without its last 70 %": failed(part(NOISE, 0.3), "of the picture is intact"),
    "JPEG with its last 70 % replaced by zeros": failed(part(NOISE, 0.3).ljust(len(NOISE), b"\0")),
    "progressive JPEG without its last 1 %": cut_short(part(PROGRESSIVE, 0.99), width=320),
    "progressive JPEG without its last 30 %": cut_short(part(PROGRESSIVE, 0.7), width=320),
    "progressive JPEG without its last 98 %": failed(part(PROGRESSIVE, 0.02)),
    "JPEG cut off before its pixels": failed(PLAIN[: PLAIN.index(b"\xff\xda")]),
    "JPEG cut off in its header": unreadable(PLAIN[:20], "damaged"),
    "JPEG with only a signature": unreadable(b"\xff\xd8\xff\xe0", "damaged"),
    "JPEG with only a start and an end marker": unreadable(b"\xff\xd8\xff\xd9", "damaged"),
    "JPEG with a zero-length segment": unreadable(with_segments(b"\xff\xe1\0\0"), "damaged"),
    "JPEG with zero height": unreadable(patched(PLAIN, FRAME + 5, b"\0\0"), "zero"),
    "JPEG with an unsupported encoding": failed(patched(PLAIN, FRAME + 1, b"\xc3")),
    "JPEG with 12 bits per channel": failed(patched(PLAIN, FRAME + 4, b"\x0c")),
    "JPEG with 400 scans": failed(
        PROGRESSIVE[:-2] + 400 * PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2] + END,
        "scans",
        reason="ImageTooLarge",
    ),
    "JPEG that claims 4 gigapixels": Case(
        patched(PLAIN, FRAME + 5, b"\xff\xff\xff\xff"), 413, "ImageTooLarge", ("pixels",)
    ),
}
