"""Pictures for tests. Their bytes are identical on every machine."""

import io
import random
from pathlib import Path
from typing import Any

import pillow_heif
import skimage
import sklearn.datasets
from PIL import Image, ImageDraw, ImageFont

pillow_heif.register_heif_opener()

RED, BLUE = (255, 0, 0), (0, 0, 255)

_SKIMAGE = Path(skimage.__file__).parent / "data"
_SKLEARN = Path(sklearn.datasets.__file__).parent / "images"

COLOR_PHOTOGRAPHS = [
    _SKLEARN / "china.jpg",
    _SKLEARN / "flower.jpg",
    *(_SKIMAGE / name for name in ("astronaut.png", "chelsea.png", "coffee.png", "ihc.png")),
    *(_SKIMAGE / name for name in ("hubble_deep_field.jpg", "retina.jpg", "rocket.jpg")),
    _SKIMAGE / "motorcycle_left.png",
]
GRAY_PHOTOGRAPHS = [
    _SKIMAGE / f"{name}.png"
    for name in ("brick", "camera", "cell", "clock_motion", "coins", "grass", "gravel", "moon")
]
PHOTOGRAPHS = COLOR_PHOTOGRAPHS + GRAY_PHOTOGRAPHS


# For each EXIF orientation, how an upright picture must be transposed before it is stored, so that
# viewers show it upright (CIPA DC-008, 4.6.5.1.6).
STORED_TURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode a picture in the format `kind`, and return the content of the image file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def halves(mode: str = "RGB") -> Image.Image:
    """Return a picture of 64x48 pixels. Its left half is red and its right half is blue."""
    picture = Image.new("RGB", (64, 48), RED)
    picture.paste(BLUE, (32, 0, 64, 48))
    return picture.convert(mode)


def noise(width: int, height: int) -> Image.Image:
    """Return a picture of random pixels. No format can compress it well."""
    return Image.frombytes("RGB", (width, height), random.Random(1).randbytes(3 * width * height))  # noqa: S311


def rotating(frames: int) -> list[Image.Image]:
    """Return the frames of an animation. Each frame is rotated by a different angle."""
    return [halves().rotate(10 * index) for index in range(frames)]


def animation(kind: str, *, frames: int = 4, milliseconds: int = 250) -> bytes:
    """Return the content of an animated image file that shows each frame for `milliseconds`."""
    first, *rest = rotating(frames)
    return encoded(first, kind, save_all=True, append_images=rest, duration=milliseconds, loop=0)


def chart() -> Image.Image:
    """Return a picture of a bar chart with colored, labeled bars on a white background."""
    picture = Image.new("RGB", (800, 600), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(20)

    for index, color in enumerate(("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd")):
        left = 80 + 130 * index
        draw.rectangle((left, 500 - 90 * index, left + 80, 540), fill=color)
        draw.text((left + 10, 550), f"Q{index}", fill="black", font=font)

    draw.line((60, 20, 60, 540, 780, 540), fill="black", width=3)
    return picture


def screen(background: str = "white", ink: str = "#222222") -> Image.Image:
    """Return a picture that resembles a window with a title bar, a menu and lines of text."""
    picture = Image.new("RGB", (1366, 768), background)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(16)
    draw.rectangle((0, 0, 1366, 60), fill="#2b579a")

    for y in range(80, 740, 24):
        draw.text((240, y), "the quick brown fox jumps over " * (1 + y % 3), fill=ink, font=font)
        draw.text((20, y), "Menu item", fill=ink, font=font)

    return picture


def logo() -> Image.Image:
    """Return a picture of a disc with a triangle on it. Both shapes have soft edges."""
    picture = Image.new("RGB", (1024, 1024), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((120, 120, 900, 900), fill="#1a73e8")
    draw.polygon([(512, 240), (800, 760), (220, 760)], fill="#fbbc04")
    return picture.resize((512, 512), Image.Resampling.LANCZOS)


def gradient() -> Image.Image:
    """Return a picture that fades from one color to another."""
    slope = Image.linear_gradient("L").resize((800, 600))
    return Image.merge("RGB", (slope, slope.rotate(180), Image.new("L", slope.size, 128)))
