"""Still and animated WebP files, both complete and truncated."""

import struct
from typing import Any

from pictures import animation, encoded, halves, noise
from PIL import Image

from .case import Case, cut_short, described, failed, part, patched, unreadable

SIZE: dict[str, Any] = {"width": 64, "height": 48, "format": "WebP"}
RED_AND_BLUE = {"red", "blue"}

PLAIN = encoded(halves(), "WebP", quality=90)
LOSSY = encoded(noise(320, 200), "WebP")
LOSSLESS = encoded(noise(320, 200), "WebP", lossless=True)
MOVING = animation("WebP")
WHITE = Image.new("RGB", (64, 48), "white")


def animated(*frames: Image.Image) -> bytes:
    """Return an animated, lossless WebP with these frames."""
    first, *rest = frames
    return encoded(first, "WebP", save_all=True, append_images=rest, duration=100, lossless=True)


def rotated() -> bytes:
    """Return an image stored as 64x48 pixels, with EXIF data that rotates it by 270 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 8
    return encoded(halves(), "WebP", exif=exif)


def with_length(image: bytes, more: int) -> bytes:
    """Return the file with the length in its header increased by `more` bytes."""
    return patched(image, 4, struct.pack("<L", len(image) - 8 + more))


WEBPS: dict[str, Case] = {
    "WebP": described(PLAIN, colors=RED_AND_BLUE, **SIZE),
    "lossless WebP": described(
        encoded(halves(), "WebP", lossless=True), colors=RED_AND_BLUE, **SIZE
    ),
    "WebP with alpha": described(
        encoded(Image.new("RGBA", (64, 48), (255, 0, 0, 0)), "WebP", lossless=True),
        transparent=True,
    ),
    "WebP gray": described(encoded(halves("L"), "WebP"), **SIZE),
    "WebP rotated": described(rotated(), width=48, height=64, exifOrientation=8),
    "WebP with 3 MB of XMP": described(encoded(halves(), "WebP", xmp=b" " * 3_000_000), **SIZE),
    "WebP with junk as EXIF data": described(encoded(halves(), "WebP", exif=b"junk" * 99), **SIZE),
    "WebP with one pixel": described(encoded(Image.new("RGB", (1, 1)), "WebP"), width=1, height=1),
    "WebP followed by junk": described(PLAIN + b"junk" * 1000, **SIZE),
    "WebP animated": described(MOVING, frames=4, animationSeconds=1.0, **SIZE),
    "WebP animation that starts white": described(
        animated(WHITE, halves(), WHITE), "frame 2", frames=3, colors=RED_AND_BLUE
    ),
    "WebP animation that starts transparent": described(
        animated(Image.new("RGBA", (64, 48)), halves("RGBA")),
        "frame 2",
        frames=2,
        colors=RED_AND_BLUE,
    ),
    "WebP without its last 1 %": cut_short(part(LOSSY, 0.99), width=320, height=200),
    "WebP without its last 30 %": cut_short(part(LOSSY, 0.7), width=320, height=200),
    "WebP without its last 70 %": failed(part(LOSSY, 0.3), "of the picture is intact"),
    "lossless WebP without its last 30 %": cut_short(part(LOSSLESS, 0.7), width=320, height=200),
    "lossless WebP without its last 70 %": failed(part(LOSSLESS, 0.3)),
    "WebP animation cut off in a later frame": cut_short(
        part(MOVING, 0.8), colors=RED_AND_BLUE, **SIZE
    ),
    "WebP animation without its last two bytes": cut_short(
        MOVING[:-2], colors=RED_AND_BLUE, **SIZE
    ),
    "WebP that claims 2 GB": failed(with_length(PLAIN, 2_000_000_000)),
    "WebP cut off in its header": unreadable(PLAIN[:18], "damaged"),
    "WebP with junk after its header": unreadable(b"RIFF\x24\0\0\0WEBPjunk" + bytes(40), "damaged"),
}
