"""Tests of image formats in each color mode that they support."""

from itertools import pairwise
from typing import Any

import pytest
from pictures import BLUE, RED, encoded, halves
from PIL import Image
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers import load
from vision_node_describer.describers.imaging.picture import _avif_bits
from vision_node_describer.describers.imaging.pixels import shrink

RED_AND_BLUE = [
    {"name": "blue", "hex": "#0000ff", "share": 50},
    {"name": "red", "hex": "#ff0000", "share": 50},
]
BLACK_AND_WHITE = [
    {"name": "black", "hex": "#000000", "share": 50},
    {"name": "white", "hex": "#ffffff", "share": 50},
]
GRAYS = [
    {"name": "gray", "hex": "#4c4c4c", "share": 50},
    {"name": "black", "hex": "#1d1d1d", "share": 50},
]


def facts_of(image: bytes) -> dict[str, Any]:
    return dict(load("metadata").describe(image, Options()).facts)


def black_and_white(mode: str) -> Image.Image:
    picture = Image.new(mode, (64, 48), 0)
    picture.paste({"I;16": 65535, "I": 65535, "1": 1}.get(mode, 255), (32, 0, 64, 48))
    return picture


def half_transparent(mode: str) -> Image.Image:
    """Return `halves` with a transparent right half."""
    picture = halves("RGBA")
    picture.paste((0, 0, 0, 0), (32, 0, 64, 48))
    return picture.convert(mode)


def by_name(colors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(colors, key=lambda color: str(color["name"]))


BASE = {
    "width": 64,
    "height": 48,
    "storedWidth": 64,
    "storedHeight": 48,
    "orientation": "landscape",
    "exifOrientation": 1,
    "aspectRatio": "4:3",
    "kind": "graphic",
    "frames": 1,
    "transparent": False,
}
COLOR = {"mode": "RGB", "colorMode": "RGB color", "bitsPerChannel": 8, "colors": RED_AND_BLUE}
GRAY = {"mode": "L", "colorMode": "grayscale", "bitsPerChannel": 8, "colors": GRAYS}
ALPHA = {"transparent": True, "transparentShare": 50}
RED_ONLY = {"colors": [{"name": "red", "hex": "#ff0000", "share": 100}], **ALPHA}

LOSSLESS = [
    ("PNG", halves("RGB"), {}, COLOR),
    ("PNG", halves("L"), {}, GRAY),
    ("PNG", halves("P"), {}, COLOR | {"mode": "P", "colorMode": "palette"}),
    (
        "PNG",
        black_and_white("1"),
        {},
        {"mode": "1", "colorMode": "black and white", "bitsPerChannel": 1}
        | {"colors": BLACK_AND_WHITE},
    ),
    (
        "PNG",
        black_and_white("I;16"),
        {},
        {"mode": "I;16", "colorMode": "grayscale", "bitsPerChannel": 16, "colors": BLACK_AND_WHITE},
    ),
    ("PNG", halves("L"), {"bits": 8}, GRAY),
    (
        "PNG",
        half_transparent("RGBA"),
        {},
        {"mode": "RGBA", "colorMode": "RGB color with alpha", "bitsPerChannel": 8} | RED_ONLY,
    ),
    (
        "PNG",
        half_transparent("LA"),
        {},
        {"mode": "LA", "colorMode": "grayscale with alpha", "bitsPerChannel": 8}
        | ALPHA
        | {"colors": [{"name": "gray", "hex": "#4c4c4c", "share": 100}]},
    ),
    (
        "PNG",
        halves("RGB"),
        {"transparency": BLUE},
        {"mode": "RGB", "colorMode": "RGB color", "bitsPerChannel": 8} | RED_ONLY,
    ),
    ("BMP", halves("RGB"), {}, COLOR),
    ("BMP", halves("L"), {}, GRAY),
    ("BMP", halves("P"), {}, COLOR | {"mode": "P", "colorMode": "palette"}),
    (
        "BMP",
        black_and_white("1"),
        {},
        {"mode": "1", "colorMode": "black and white", "bitsPerChannel": 1}
        | {"colors": BLACK_AND_WHITE},
    ),
    ("GIF", halves("P"), {}, COLOR | {"mode": "P", "colorMode": "palette"}),
    ("WebP", halves("RGB"), {"lossless": True}, COLOR),
    (
        "WebP",
        half_transparent("RGBA"),
        {"lossless": True},
        {"mode": "RGBA", "colorMode": "RGB color with alpha", "bitsPerChannel": 8} | RED_ONLY,
    ),
]


@pytest.mark.parametrize(("kind", "picture", "options", "expected"), LOSSLESS)
def test_facts_of_lossless_formats_are_exact(
    kind: str, picture: Image.Image, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    image = encoded(picture, kind, **options)
    facts = facts_of(image)
    assert 0 <= facts.pop("brightness") <= 1
    assert 0 <= facts.pop("contrast") <= 1

    facts["colors"] = by_name(facts["colors"])
    assert facts == {
        **BASE,
        **expected,
        "colors": by_name(expected["colors"]),
        "format": kind,
        "mediaType": f"image/{kind.lower()}",
        "sizeBytes": len(image),
    }


LOSSY = [
    ("JPEG", "RGB", "RGB", "RGB color", {"blue", "red"}),
    ("JPEG", "YCbCr", "RGB", "RGB color", {"blue", "red"}),
    ("JPEG", "L", "L", "grayscale", {"black", "gray"}),
    ("JPEG", "CMYK", "CMYK", "CMYK", {"blue", "red"}),
    ("WebP", "RGB", "RGB", "RGB color", {"blue", "red"}),
    ("WebP", "L", "RGB", "RGB color", {"black", "gray"}),
    ("AVIF", "RGB", "RGB", "RGB color", {"blue", "red"}),
    ("AVIF", "L", "L", "grayscale", {"black", "gray"}),
    ("AVIF", "RGBA", "RGB", "RGB color", {"blue", "red"}),
]


@pytest.mark.parametrize(("kind", "stored", "mode", "words", "names"), LOSSY)
def test_facts_of_lossy_formats_are_nearly_exact(
    kind: str, stored: str, mode: str, words: str, names: set[str]
) -> None:
    facts = facts_of(encoded(halves(stored), kind, quality=95))
    assert (facts["mode"], facts["colorMode"], facts["bitsPerChannel"]) == (mode, words, 8)
    assert {color["name"] for color in facts["colors"]} == names
    assert all(46 <= color["share"] <= 50 for color in facts["colors"])
    assert (facts["width"], facts["height"], facts["format"]) == (64, 48, kind)


def test_colors_of_an_inverted_adobe_cmyk_jpeg_are_correct() -> None:
    image = encoded(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG")
    assert b"Adobe" in image
    assert facts_of(image)["colors"][0]["name"] == "red"


def test_transparent_pixels_of_an_avif_have_no_color() -> None:
    facts = facts_of(encoded(half_transparent("RGBA"), "AVIF"))
    assert (facts["mode"], facts["transparent"]) == ("RGBA", True)
    assert [color["name"] for color in facts["colors"]] == ["red"]


@pytest.mark.parametrize("progressive", [False, True])
def test_baseline_and_progressive_jpegs_are_described(*, progressive: bool) -> None:
    image = encoded(halves().resize((1920, 1080)), "JPEG", progressive=progressive)
    facts = facts_of(image)
    assert (facts["width"], facts["height"], facts["mode"]) == (1920, 1080, "RGB")
    assert {color["name"] for color in facts["colors"]} == {"red", "blue"}


def test_mpo_file_is_described_as_a_jpeg() -> None:
    image = encoded(halves(), "MPO", save_all=True, append_images=[halves()])
    facts = facts_of(image)
    assert (facts["format"], facts["frames"], facts["mediaType"]) == ("JPEG", 1, "image/jpeg")


@pytest.mark.parametrize(
    ("flags", "bits"), [(0x00, 8), (0x0C, 8), (0x40, 10), (0x4C, 10), (0x60, 12)]
)
def test_bits_per_channel_of_an_avif_are_read(flags: int, bits: int) -> None:
    assert _avif_bits(b"....av1C\x81\x00" + bytes([flags])) == bits


MODES = [
    (Image.new("1", (300, 200), 1), (255, 255, 255, 255)),
    (Image.new("L", (300, 200), 100), (100, 100, 100, 255)),
    (Image.new("LA", (300, 200), (100, 255)), (100, 100, 100, 255)),
    (Image.new("LA", (300, 200), (255, 128)), (255, 255, 255, 128)),
    (Image.new("P", (300, 200), 0), (0, 0, 0, 255)),
    (Image.new("RGB", (300, 200), RED).convert("P").convert("PA"), (*RED, 255)),
    (Image.new("I;16", (300, 200), 257 * 100), (100, 100, 100, 255)),
    (Image.new("I", (300, 200), 257 * 100), (100, 100, 100, 255)),
    (Image.new("F", (300, 200), 0.5), (0, 0, 0, 255)),
    (Image.new("RGB", (300, 200), RED), (*RED, 255)),
    (Image.new("RGBA", (300, 200), (*RED, 128)), (*RED, 128)),
    (Image.new("CMYK", (300, 200), (0, 255, 255, 0)), (*RED, 255)),
    (Image.new("RGB", (300, 200), RED).convert("YCbCr"), (254, 0, 0, 255)),
    (Image.new("HSV", (300, 200), (0, 255, 255)), (*RED, 255)),
]


@pytest.mark.parametrize(("picture", "expected"), MODES, ids=lambda value: str(value)[:40])
def test_shrinking_preserves_the_visible_color_in_each_mode(
    picture: Image.Image, expected: tuple[int, int, int, int]
) -> None:
    small = shrink(picture)
    assert max(small.size) <= 128
    assert small.getextrema() == tuple((value, value) for value in expected)


@pytest.mark.parametrize(
    ("mode", "low", "high"), [("I", -70_000, 70_000), ("F", -1.5, 3.25), ("F", 0.0, 1.0)]
)
def test_values_of_32_bit_pictures_are_scaled_to_8_bits(mode: str, low: float, high: float) -> None:
    picture = Image.new(mode, (64, 48), low)
    picture.paste(high, (32, 0, 64, 48))
    assert shrink(picture).getextrema()[0] == (0, 255)


def test_large_picture_is_shrunk_in_tiles_without_seams() -> None:
    tall = Image.linear_gradient("L").resize((1500, 2501))
    small = shrink(tall)
    column = small.getchannel("R").crop((0, 0, 1, small.height)).tobytes()
    steps = [below - above for above, below in pairwise(column)]
    assert small.size == (75, 126)
    assert set(steps) <= {1, 2, 3}


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 1), (2, 2), (1, 5000), (5000, 1), (129, 1)])
def test_tiny_and_thin_pictures_are_described(size: tuple[int, int]) -> None:
    facts = facts_of(encoded(Image.new("RGB", size, RED), "PNG"))
    assert (facts["width"], facts["height"]) == size
    assert facts["colors"] == [{"name": "red", "hex": "#ff0000", "share": 100}]


def test_noop_describer_is_loaded_and_unknown_provider_is_refused() -> None:
    description = load("nothing").describe(b"", Options())
    assert description.description.startswith("Image Description:")
    with pytest.raises(DescribeError, match="metadata") as caught:
        load("os")
    assert caught.value.reason is Reason.DESCRIBER_NOT_FOUND
