"""Tests of how the colors, brightness, contrast and kind of a picture are determined."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pictures import (
    PHOTOGRAPHS,
    chart,
    encoded,
    gradient,
    halves,
    logo,
    screen,
)
from PIL import Image
from vision_node_contract.models.description import Options
from vision_node_describer.describers import load
from vision_node_describer.describers.imaging.pixels import shrink
from vision_node_describer.describers.metadata.appearance import measure_appearance
from vision_node_describer.describers.metadata.colors import dominant_colors


def plain(color: str, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new("RGBA", size, color)


NAMES = [
    ("#000000", "black"),
    ("#0d0d0d", "black"),
    ("#ffffff", "white"),
    ("#f4f4f4", "white"),
    ("#808080", "gray"),
    ("#404040", "gray"),
    ("#c0c0c0", "gray"),
    ("#778899", "gray"),  # "light slate gray"
    ("#ff0000", "red"),
    ("#b22222", "red"),
    ("#ffa500", "orange"),
    ("#8b4513", "brown"),
    ("#4b2e1a", "brown"),
    ("#ffff00", "yellow"),
    ("#ffd700", "yellow"),
    ("#808000", "olive"),
    ("#008000", "green"),
    ("#00ff00", "green"),
    ("#13300f", "green"),
    ("#90ee90", "green"),
    ("#008080", "teal"),
    ("#00ffff", "cyan"),
    ("#87ceeb", "light blue"),
    ("#0000ff", "blue"),
    ("#336699", "blue"),
    ("#000080", "navy"),
    ("#800080", "purple"),
    ("#ff00ff", "magenta"),
    ("#ffc0cb", "pink"),
    ("#ff69b4", "pink"),
    ("#f5f5dc", "beige"),
    ("#d2b48c", "beige"),
]


@pytest.mark.parametrize(("color", "name"), NAMES)
def test_colors_have_their_usual_names(color: str, name: str) -> None:
    (found,) = dominant_colors(plain(color))
    assert (found.name, found.hex, found.share) == (name, color, 100)


def stripes(*colors: tuple[str, int]) -> Image.Image:
    picture, left = plain("white", (100, 10)), 0
    for color, width in colors:
        picture.paste(color, (left, 0, left + width, 10))
        left += width
    return picture


def test_colors_are_sorted_by_share_and_rare_colors_are_omitted() -> None:
    picture = stripes(("red", 30), ("blue", 50), ("black", 3), ("yellow", 2), ("orange", 15))
    found = [(color.name, color.share) for color in dominant_colors(picture)]
    assert found == [("blue", 50), ("red", 30), ("orange", 15), ("black", 3)]


def test_at_most_five_colors_are_returned() -> None:
    picture = stripes(
        *((color, 12) for color in ("red", "blue", "black", "yellow", "teal", "pink"))
    )
    assert len(dominant_colors(picture)) == 5


def test_shades_with_the_same_name_are_one_color() -> None:
    (gray,) = dominant_colors(stripes(("#808080", 50), ("#909090", 50)))
    assert (gray.name, gray.hex, gray.share) == ("gray", "#888888", 100)


def test_invisible_pixels_have_no_color() -> None:
    picture = plain("#ff000000")
    appearance = measure_appearance(picture)
    assert (appearance.colors, appearance.brightness, appearance.contrast) == ([], None, None)
    assert appearance.transparent_share == 1


def test_invisible_pixels_do_not_affect_averages() -> None:
    picture = Image.new("RGBA", (1000, 1000), (0, 255, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 495, 1000))
    appearance = measure_appearance(shrink(picture))
    assert [(color.name, color.hex) for color in appearance.colors] == [("red", "#ff0000")]


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("GIF", "P")])
def test_transparency_of_large_pictures_is_measured(kind: str, mode: str) -> None:
    picture = Image.new("RGBA", (1920, 1080), (0, 0, 255, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 960, 1080))
    if kind == "PNG" and mode == "P":
        picture = picture.quantize(4, method=Image.Quantize.FASTOCTREE)
    facts = load("metadata").describe(encoded(picture, kind), Options()).facts
    assert (facts["mode"], facts["transparent"], facts["transparentShare"]) == (mode, True, 50)
    assert facts["colors"] == [{"name": "blue", "hex": "#0000ff", "share": 100}]


BRIGHTNESS_AND_CONTRAST = [
    (plain("black"), 0.0, 0.0),
    (plain("white"), 1.0, 0.0),
    (plain("#808080"), 0.5, 0.0),
    (stripes(("black", 50), ("white", 50)), 0.5, 1.0),
    (stripes(("black", 90), ("white", 10)), 0.1, 0.6),
]


@pytest.mark.parametrize(
    ("picture", "brightness", "contrast"),
    BRIGHTNESS_AND_CONTRAST,
    ids=range(len(BRIGHTNESS_AND_CONTRAST)),
)
def test_brightness_and_contrast_are_measured(
    picture: Image.Image, brightness: float, contrast: float
) -> None:
    appearance = measure_appearance(picture)
    assert (appearance.brightness, appearance.contrast) == (brightness, contrast)


SCALES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "original size": lambda picture: picture,
    "double size": lambda picture: picture.resize((2 * picture.width, 2 * picture.height)),
}


def kind_of(picture: Image.Image, scale: str, quality: int | None) -> object:
    picture = SCALES[scale](picture.convert("RGB"))
    if quality is None:
        image = encoded(picture, "PNG", compress_level=1)
    else:
        image = encoded(picture, "JPEG", quality=quality)
    return load("metadata").describe(image, Options()).facts["kind"]


@pytest.mark.parametrize("quality", [None, 85, 50])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_photograph_is_recognized(path: Path, scale: str, quality: int | None) -> None:
    with Image.open(path) as picture:
        assert kind_of(picture, scale, quality) == "photograph"


GRAPHICS = {
    "chart": chart(),
    "screen": screen(),
    "dark screen": screen("#1e1e1e", "#d4d4d4"),
    "logo": logo(),
    "gradient": gradient(),
    "flat": Image.new("RGB", (300, 200), "#336699"),
    "halves": halves(),
}


@pytest.mark.parametrize("quality", [None, 90, 75, 50])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", GRAPHICS)
def test_graphic_is_recognized(name: str, scale: str, quality: int | None) -> None:
    assert kind_of(GRAPHICS[name], scale, quality) == "graphic"


def test_color_photograph_on_a_white_page_is_recognized() -> None:
    path = next(path for path in PHOTOGRAPHS if path.stem == "chelsea")
    page = Image.new("RGB", (650, 450), "white")
    with Image.open(path) as picture:
        page.paste(picture, (100, 75))
    assert kind_of(page, "original size", None) == "photograph"
    assert kind_of(page, "original size", 85) == "photograph"
