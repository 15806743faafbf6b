"""Tests of the kinds of pictures, such as photographs, patterns, pages, charts and screenshots."""

from functools import cache

import numpy as np
import pytest
from pictures import PHOTOGRAPHS, encoded, noise
from PIL import Image, ImageDraw
from printed import draw_lines, font
from vision_node_contract.models.description import Options
from vision_node_describer.describers import Describer, load
from vision_node_describer.describers.local.layout import measure_layout

PATTERNS = ("brick", "grass", "gravel")
TEXT = ["It was the best of times,", "it was the worst of times,", "it was the age of wisdom,"]


@cache
def local() -> Describer:
    return load("local")


def kind_of(picture: Image.Image | bytes, **options: object) -> object:
    image = picture if isinstance(picture, bytes) else encoded(picture, "PNG")
    described = local().describe(image, Options.model_validate(options))
    return described.facts["pictureKind"]


@pytest.mark.parametrize("file", PHOTOGRAPHS, ids=lambda file: file.stem)
def test_photographs_and_patterns_are_recognized(file: object) -> None:
    name = file.stem  # type: ignore[attr-defined]
    kind = kind_of(file.read_bytes(), text=False)  # type: ignore[attr-defined]
    assert kind == ("pattern" if name in PATTERNS else "photograph")


def chart() -> Image.Image:
    """Return a line chart with labels along both axes."""
    picture = Image.new("RGB", (900, 600), "white")
    draw = ImageDraw.Draw(picture)
    draw.line([(100, 40), (100, 520), (860, 520)], "black", 2)
    for step in range(6):
        draw.text((50, 508 - 90 * step), str(20 * step), "black", font("Roboto", 24))
        draw.text((140 + 120 * step, 530), str(2018 + step), "black", font("Roboto", 24))
    draw.line([(150, 450), (300, 380), (450, 300), (600, 330), (750, 180)], "blue", 4)
    draw.text((300, 5), "Sales by year", "black", font("Roboto", 28))
    return picture


def screen() -> Image.Image:
    """Return a dialog on a screen of 1366x768 pixels."""
    picture = Image.new("RGB", (1366, 768), "#2d5f8b")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((380, 200, 980, 560), "#f0f0f0")
    draw.rectangle((380, 200, 980, 240), "#dddddd")
    draw_lines(picture, ["Save changes?"], (400, 204), font("Roboto", 26))
    draw_lines(
        picture,
        ["Your changes will be lost", "if you do not save them."],
        (420, 290),
        font("Roboto", 26),
    )
    draw_lines(picture, ["Cancel"], (860, 500), font("Roboto", 26))
    return picture


def test_chart_is_recognized() -> None:
    described = local().describe(encoded(chart(), "PNG"), Options())
    assert described.facts["pictureKind"] == "chart"
    assert described.caption.startswith("Chart with the text “")
    assert "Sales by year" in described.text


def test_page_of_text_is_recognized() -> None:
    picture = Image.new("RGB", (800, 1000), "white")
    draw_lines(picture, TEXT * 4, (60, 60), font("Roboto", 28))
    assert kind_of(picture) == "document"


def test_page_of_small_print_is_read() -> None:
    picture = Image.new("RGB", (2000, 2800), "white")
    for row in range(160):
        draw_lines(picture, [" ".join(TEXT * 4)], (20, 20 + 17 * row), font("Roboto", 14))
    described = local().describe(encoded(picture, "PNG"), Options())
    assert described.facts["pictureKind"] == "document"
    assert "worst of times" in described.text


def test_screenshot_is_recognized_by_its_size_and_text() -> None:
    assert kind_of(screen()) == "screenshot"


def test_picture_with_a_camera_name_in_exif_is_a_photograph() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "EOS R5"
    assert kind_of(encoded(screen(), "JPEG", exif=exif)) == "photograph"


@pytest.mark.parametrize("color", ["white", "black", "red", "#808080"])
def test_plain_color_is_a_graphic(color: str) -> None:
    assert kind_of(Image.new("RGB", (300, 200), color)) == "graphic"


def test_no_objects_are_reported_in_graphics_and_patterns() -> None:
    for picture in (chart(), screen(), noise(400, 300), Image.new("RGB", (300, 300), "green")):
        facts = local().describe(encoded(picture, "PNG"), Options()).facts
        assert not {"objects", "labels", "faces"} & facts.keys()


def test_noise_and_stripes_are_patterns() -> None:
    stripes = Image.fromarray(np.tile(np.uint8([0, 0, 255, 255]), (200, 60)), "L").convert("RGB")
    for picture in (noise(300, 300), stripes):
        assert measure_layout(picture).is_pattern


def test_plain_picture_is_not_a_pattern() -> None:
    assert not measure_layout(Image.new("RGB", (300, 300), "white")).is_pattern


@pytest.mark.parametrize(
    ("ink", "paper"), [("black", "white"), ("white", "black"), ("#333333", "#eeeeee")]
)
def test_page_looks_like_text(ink: str, paper: str) -> None:
    picture = Image.new("RGB", (600, 600), paper)
    draw = ImageDraw.Draw(picture)
    for row in range(18):
        draw.text((10, 10 + 32 * row), TEXT[row % 3] * 2, ink, font("Roboto", 20))
    assert measure_layout(picture).looks_like_text


@pytest.mark.parametrize("size", [(1, 1), (1, 600), (600, 1), (3, 3), (63, 64), (608, 8)])
def test_layout_of_tiny_and_thin_pictures_can_be_measured(size: tuple[int, int]) -> None:
    layout = measure_layout(Image.new("RGB", size, "white"))
    assert not layout.is_pattern
    assert not layout.looks_like_text


@pytest.mark.parametrize(
    ("color", "is_colorless"), [("#777777", True), ("#7a7774", True), ("#776f6a", False)]
)
def test_colorless_picture_is_recognized(color: str, is_colorless: bool) -> None:  # noqa: FBT001
    assert measure_layout(Image.new("RGB", (50, 50), color)).is_colorless is is_colorless
