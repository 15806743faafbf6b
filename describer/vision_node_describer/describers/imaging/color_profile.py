"""Convert pictures to sRGB according to their color profiles (ICC.1:2022), as browsers do."""

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
"""Maximum size of a profile in bytes. Larger profiles are ignored. Profiles of printing presses
have about 600 kB, and those of displays have 0.5 to 4 kB. Pillow refuses a PNG whose decompressed
profile is larger than this."""

_CACHED_TRANSFORMS = 16
"""Number of cached transforms. Most pictures share a few profiles, and a transform takes up to a
few hundred kB."""

_MAX_SRGB_DEVIATION = 2
"""Maximum change of a channel's value (0-255) by a profile that counts as sRGB. The profile's name
does not matter."""

_PROBED_LEVELS = bytes(range(0, 256, 51))
"""Values of each channel in the 216 colors with which a profile is tested."""

_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
"""Color space that a profile's header states (ICC.1:2022, 7.2.6), by Pillow's mode."""


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the picture in sRGB. A profile is ignored if it is invalid or for another mode.

    Args:
        picture: A picture in mode L, LA, RGB, RGBA or CMYK. Other modes are returned unchanged.
        profile: The profile as stored in the file; None if the file has none.
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
    """Convert a picture from CIELAB to sRGB, which Pillow's `convert` can't do."""
    from PIL import ImageCms  # noqa: PLC0415 (see _transform)

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB").apply(picture)


@lru_cache(maxsize=_CACHED_TRANSFORMS)
def _transform(profile: bytes, mode: str) -> "ImageCmsTransform | None":
    """Return the transform to sRGB; None if it would change nothing or the profile is invalid."""
    # Imported here so that workers start quickly: pictures without a profile don't need it.
    from PIL import ImageCms  # noqa: PLC0415

    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space != _SPACES[mode]:
            return None

        # Colors outside sRGB are clipped (relative colorimetric intent), as in all browsers.
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        log.info("ignoring a color profile of %d bytes: %s", len(profile), error)
        return None


def _changes_nothing(transform: "ImageCmsTransform", mode: str) -> bool:
    if mode == "CMYK":
        return False

    probe = Image.frombytes("L", (len(_PROBED_LEVELS), 1), _PROBED_LEVELS)
    if mode == "RGB":
        colors = bytes(value for color in product(_PROBED_LEVELS, repeat=3) for value in color)
        probe = Image.frombytes("RGB", (len(colors) // 3, 1), colors)

    before, after = probe.convert("RGB").tobytes(), transform.apply(probe).tobytes()
    return all(
        abs(one - other) <= _MAX_SRGB_DEVIATION for one, other in zip(before, after, strict=True)
    )
