"""Create photographs of 1920 x 1080 pixels that are the same on every machine."""

import io
import random
from dataclasses import dataclass
from pathlib import Path

import skimage
import sklearn.datasets
from PIL import Image, ImageChops, ImageOps

SIZE = (1920, 1080)
QUALITY = 88
"""JPEG quality, similar to that of phones."""

GRAIN = 10
"""Strength of the simulated sensor noise: the maximum change of a pixel's value (0 to 255).

Without noise, the files of the enlarged images would be smaller than those of a camera.
"""

_SKLEARN = Path(sklearn.datasets.__file__).parent / "images"
_SKIMAGE = Path(skimage.__file__).parent / "data"
_SOURCES = (
    *(_SKLEARN / name for name in ("china.jpg", "flower.jpg")),
    *(_SKIMAGE / name for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")),
    *(_SKIMAGE / name for name in ("motorcycle_left.png", "hubble_deep_field.jpg")),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file that can be submitted in a multipart form."""

    data: bytes
    boundary: str = "vision-node-bench"

    @property
    def content_type(self) -> str:
        """Content type of the form."""
        return f"multipart/form-data; boundary={self.boundary}"

    def form(self, describer: str, file_name: str = "photo.jpg", **fields: str) -> bytes:
        """Return a form that submits this image to a describer, with additional fields."""
        part = f"--{self.boundary}\r\nContent-Disposition: form-data; "
        values = {"describer": describer, **fields}
        head = (
            "".join(f'{part}name="{name}"\r\n\r\n{value}\r\n' for name, value in values.items())
            + f'{part}name="file"; filename="{file_name}"\r\nContent-Type: image/jpeg\r\n\r\n'
        )
        return head.encode() + self.data + f"\r\n--{self.boundary}--\r\n".encode()


def photographs() -> list[Picture]:
    """Return eight JPEG photographs of 1920 x 1080 pixels."""
    return [_photograph(source) for source in _SOURCES]


def thumbnail() -> Picture:
    """Return a photograph of 64 x 36 pixels, for benchmarks in which the image does not matter."""
    with Image.open(_SOURCES[0]) as image:
        return Picture(_jpeg(ImageOps.fit(image.convert("RGB"), (64, 36))))


def _photograph(source: Path) -> Picture:
    with Image.open(source) as image:
        large = ImageOps.fit(image.convert("RGB"), SIZE, Image.Resampling.LANCZOS)
    return Picture(_jpeg(ImageChops.add(large, _grain(), offset=-128)))


def _grain() -> Image.Image:
    width, height = SIZE
    noise = Image.frombytes("L", SIZE, random.Random(1).randbytes(width * height))  # noqa: S311
    return noise.point([128 - GRAIN + value * 2 * GRAIN // 255 for value in range(256)]).convert(
        "RGB"
    )


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
