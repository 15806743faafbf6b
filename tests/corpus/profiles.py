"""Files with various color profiles, both valid and invalid."""

import struct
from typing import Any

from pictures import encoded, halves
from PIL import Image, ImageCms

from .case import Case, described

SIZE: dict[str, Any] = {"width": 64, "height": 48}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

# The red, green and blue primaries of each color space in XYZ, adapted to D50 (ICC.1:2022, annex E;
# Bruce Lindbloom's tables).
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
DISPLAY_P3 = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
SRGB_PRIMARIES = (
    (0.43607, 0.22249, 0.01392),
    (0.38515, 0.71687, 0.09708),
    (0.14307, 0.06061, 0.71410),
)
SWAPPED = (SRGB_PRIMARIES[2], SRGB_PRIMARIES[1], SRGB_PRIMARIES[0])
"""Primaries of a color space in which red and blue are swapped."""

Primary = tuple[float, float, float]


def profile(*primaries: Primary, gamma: float = 2.2) -> bytes:
    """Return a display profile with these three primaries and this gamma (ICC.1:2001-04)."""
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">L", 5) + b"test\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz((0.9642, 1.0, 0.8249)),
        **{
            name: _xyz(xyz)
            for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
        },
        **{name: _gamma(gamma) for name in (b"rTRC", b"gTRC", b"bTRC")},
    }
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">L", len(tags)), b""

    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">LL", at + len(body), len(data))
        body += padded

    return _header(128 + len(table) + len(body)) + table + body


def _header(size: int) -> bytes:
    head = struct.pack(">L4sL4s4s4s", size, b"test", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    return head + bytes(12) + b"acsp" + bytes(28) + _fixed((0.9642, 1.0, 0.8249)) + bytes(48)


def _xyz(values: Primary) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _fixed(values: Primary) -> bytes:
    return struct.pack(">3l", *(round(value * 65536) for value in values))


def _gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">LH", 1, round(value * 256))


ADOBE = profile(*ADOBE_RGB)
P3 = profile(*DISPLAY_P3)
WRONG_WAY = profile(*SWAPPED)

# These values are a light blue in Adobe RGB, but a grayish blue if the profile is ignored.
TEAL = Image.new("RGB", (64, 48), (60, 160, 150))

STORED: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "WebP": {"lossless": True},
    "AVIF": {"quality": 95},
    "TIFF": {},
    "HEIF": {"quality": 95},
}
BROKEN = {
    "that is junk": b"junk" * 1000,
    "that is cut in half": P3[: len(P3) // 2],
    "that is all zeros": bytes(600),
    "for another color space": P3[:16] + b"CMYK" + P3[20:],
    "of 3 MB": P3 + bytes(3_000_000),
}

PROFILES: dict[str, Case] = {
    **{
        f"{kind} with red and blue swapped": described(
            encoded(
                Image.new("RGB", (64, 48), (255, 0, 0)), kind, icc_profile=WRONG_WAY, **options
            ),
            colors={"blue"},
            **SIZE,
        )
        for kind, options in STORED.items()
    },
    "PNG with a palette, with red and blue swapped": described(
        encoded(Image.new("RGB", (64, 48), (255, 0, 0)).quantize(2), "PNG", icc_profile=WRONG_WAY),
        colors={"blue"},
    ),
    "PNG with alpha, with red and blue swapped": described(
        encoded(Image.new("RGBA", (64, 48), (255, 0, 0, 200)), "PNG", icc_profile=WRONG_WAY),
        colors={"blue"},
        transparent=True,
    ),
    "gray PNG with a color profile": described(
        encoded(halves("L"), "PNG", icc_profile=WRONG_WAY), mode="L", **SIZE
    ),
    "JPEG in sRGB": described(
        encoded(halves(), "JPEG", icc_profile=SRGB), colors={"red", "blue"}, **SIZE
    ),
    **{
        f"JPEG with a profile {name}": described(
            encoded(halves(), "JPEG", icc_profile=data), colors={"red", "blue"}, **SIZE
        )
        for name, data in BROKEN.items()
    },
}
