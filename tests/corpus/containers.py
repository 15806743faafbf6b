"""AVIF and HEIC files, such as those that phones produce."""

from io import BytesIO
from typing import Any

import pillow_heif
from pictures import animation, encoded, halves, noise
from PIL import Image

from .case import Case, cut_short, described, failed, part, unreadable

AVIF: dict[str, Any] = {"width": 64, "height": 48, "format": "AVIF"}
HEIC: dict[str, Any] = {"width": 64, "height": 48, "format": "HEIC", "mediaType": "image/heic"}
RED_AND_BLUE = {"red", "blue"}

AVIF_PLAIN = encoded(halves(), "AVIF", quality=90)
AVIF_NOISE = encoded(noise(320, 200), "AVIF", speed=10)
AVIF_MOVING = animation("AVIF")
HEIC_PLAIN = encoded(halves(), "HEIF", quality=90)
HEIC_NOISE = encoded(noise(320, 200), "HEIF", quality=60)


def heic_with_two_images() -> bytes:
    """Return a file with two images. The second one is the primary image."""
    file = pillow_heif.from_pillow(Image.new("RGB", (32, 32), "white"))
    file.add_from_pillow(halves())
    return _saved(file, primary_index=1)


def _saved(file: pillow_heif.HeifFile, **options: Any) -> bytes:
    buffer = BytesIO()
    file.save(buffer, quality=90, **options)
    return buffer.getvalue()


def with_orientation(number: int) -> Image.Exif:
    """Return EXIF data with this orientation (1 to 8)."""
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def heic_rotated() -> bytes:
    """Return an image stored as 64x48 pixels, with a box that rotates it by 90 degrees."""
    picture = halves()
    picture.info["exif"] = with_orientation(6).tobytes()
    return encoded(picture, "HEIF", quality=90)


def renamed(image: bytes, brand: bytes) -> bytes:
    """Return the file with every brand in its `ftyp` box replaced by `brand`."""
    length = int.from_bytes(image[:4], "big")
    return image[:8] + brand + image[12:16] + brand * ((length - 16) // 4) + image[length:]


CONTAINERS: dict[str, Case] = {
    "AVIF": described(AVIF_PLAIN, colors=RED_AND_BLUE, **AVIF),
    "AVIF with alpha": described(
        encoded(Image.new("RGBA", (64, 48), (255, 0, 0, 0)), "AVIF"), transparent=True, **AVIF
    ),
    "AVIF gray": described(encoded(halves("L"), "AVIF"), **AVIF),
    "AVIF with one pixel": described(encoded(Image.new("RGB", (1, 1)), "AVIF"), width=1, height=1),
    "AVIF animated": described(AVIF_MOVING, frames=4, animationSeconds=1.0, **AVIF),
    "AVIF animation that starts white": described(
        encoded(
            Image.new("RGB", (64, 48), "white"), "AVIF", save_all=True, append_images=[halves()]
        ),
        "frame 2",
        frames=2,
        colors=RED_AND_BLUE,
    ),
    "AVIF followed by junk": described(AVIF_PLAIN + b"junk" * 1000, **AVIF),
    "AVIF without its last 1 %": cut_short(part(AVIF_NOISE, 0.99), width=320, height=200),
    "AVIF without its last 70 %": failed(part(AVIF_NOISE, 0.3)),
    "AVIF cut off in its header": unreadable(AVIF_PLAIN[:60], "damaged"),
    "HEIC": described(HEIC_PLAIN, colors=RED_AND_BLUE, **HEIC),
    "HEIC with alpha": described(
        encoded(Image.new("RGBA", (64, 48), (255, 0, 0, 0)), "HEIF"), transparent=True, **HEIC
    ),
    "HEIC gray": described(encoded(halves("L"), "HEIF"), **HEIC),
    "HEIC with two images": described(heic_with_two_images(), colors=RED_AND_BLUE, **HEIC),
    "HEIC rotated": described(heic_rotated(), width=48, height=64),
    # The EXIF orientation is only informative (ISO/IEC 23000-22, 7.3.9). Viewers use the boxes.
    "HEIC rotated only by EXIF": described(
        encoded(halves(), "HEIF", exif=with_orientation(6)), exifOrientation=1, **HEIC
    ),
    "HEIC with a generic brand": described(renamed(HEIC_PLAIN, b"mif1"), **HEIC),
    "HEIC with junk as EXIF data": described(
        encoded(halves(), "HEIF", exif=b"Exif\0\0junk"), **HEIC
    ),
    "HEIC followed by junk": described(HEIC_PLAIN + b"junk" * 1000, **HEIC),
    "HEIC without its last 1 %": cut_short(part(HEIC_NOISE, 0.99), width=320, height=200),
    "HEIC without its last 30 %": cut_short(part(HEIC_NOISE, 0.7), width=320, height=200),
    "HEIC without its last 70 %": failed(part(HEIC_NOISE, 0.3), "of the picture is intact"),
    "HEIC cut off in its header": unreadable(HEIC_PLAIN[:60], "damaged"),
    "HEIC with only a signature": unreadable(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "damaged"),
}
