"""Converts pictures to sRGB by the color profile in their file (ICC.1:2022), as browsers do."""

import logging
from functools import lru_cache
from io import BytesIO
from itertools import product
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

log = logging.getLogger(__name__)

MAX_PROFILE_BYTES = 1 << 20
"""Larger profiles are ignored: those of presses have about 600 kB, those of displays 0.5 to 4 kB.
Pillow refuses a PNG whose profile is larger once it is inflated."""

_KEPT_TRANSFORMS = 16
"""Most of a worker's pictures share a few profiles; a transform has up to some hundred kB."""

_SAME_LEVELS = 2
"""A profile that changes no color by more than so many of 255 levels is sRGB, whatever it is
called."""

_STEPS = bytes(range(0, 256, 51))
"""Levels of each channel at which a profile is tried: 216 colors."""

_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
"""The profile's color space (ICC.1:2022, 7.2.6) that fits a mode of Pillow."""


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the picture in sRGB; a profile that is broken or of another kind of pixels is ignored.

    Args:
        picture: In mode L, LA, RGB, RGBA or CMYK; others are returned as they are.
        profile: As it stands in the file; None for pictures that have none.
    """
    if not profile or len(profile) > MAX_PROFILE_BYTES:
        return picture

    colors = {"LA": "L", "RGBA": "RGB"}.get(picture.mode, picture.mode)
    transform = _transform(profile, colors) if colors in _SPACES else None
    if transform is None:
        return picture
    if colors == picture.mode:
        return transform.apply(picture)

    converted = transform.apply(picture.convert(colors))
    converted.putalpha(picture.getchannel("A"))
    return converted


def lab_to_rgb(picture: Image.Image) -> Image.Image:
    """Return a picture of CIELAB colors in sRGB; Pillow's `convert` knows no way between them."""
    from PIL import ImageCms  # noqa: PLC0415 (see _transform)

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB").apply(picture)


@lru_cache(maxsize=_KEPT_TRANSFORMS)
def _transform(profile: bytes, mode: str) -> "ImageCmsTransform | None":
    """Return what makes sRGB of such pixels; None if nothing is to be done, or nothing can be."""
    # Only here: most pictures have no profile, or one that only says sRGB, and a start must not
    # wait for it.
    from PIL import ImageCms  # noqa: PLC0415

    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space != _SPACES[mode]:
            return None
        # Colors outside sRGB are cut off, as displays do: the intent of all browsers for such
        # profiles.
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        log.info("a color profile of %d bytes is ignored: %s", len(profile), error)
        return None


def _changes_nothing(transform: "ImageCmsTransform", mode: str) -> bool:
    if mode == "CMYK":
        return False

    probe = Image.frombytes("L", (len(_STEPS), 1), _STEPS)
    if mode == "RGB":
        colors = bytes(value for color in product(_STEPS, repeat=3) for value in color)
        probe = Image.frombytes("RGB", (len(colors) // 3, 1), colors)

    before, after = probe.convert("RGB").tobytes(), transform.apply(probe).tobytes()
    return all(abs(one - other) <= _SAME_LEVELS for one, other in zip(before, after, strict=True))
