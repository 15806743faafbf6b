"""Tests of the metadata describer's descriptions, alt text, captions, tags and facts."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pictures import (
    PHOTOGRAPHS,
    animation,
    chart,
    encoded,
    halves,
)
from PIL import Image
from vision_node_contract.bucket_keys import INLINE_RESULT_BYTES
from vision_node_contract.models.description import MAX_ALT_CHARACTERS, Description, Options
from vision_node_describer.describers import load
from vision_node_describer.describers.metadata.facts import read_facts
from vision_node_describer.describers.metadata.phrasing import file_size


def describe(image: bytes, **options: object) -> Description:
    return load("metadata").describe(image, Options.model_validate(options))


def animated_photograph(*, transparent: bool) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Canon", "Canon EOS 5D", 6
    exif.get_ifd(0x8769)[0x9003] = "2023:07:14 12:34:56"

    color = (200, 30, 30, 0 if transparent else 255)
    frames = [Image.new("RGBA", (160, 90), color) for _ in range(2)]
    for index, frame in enumerate(frames):
        frame.paste((255, 255, 255, 255), (0, 0, 80, 80 + index))

    return encoded(
        frames[0], "PNG", save_all=True, append_images=frames[1:], duration=500, exif=exif
    )


def test_description_alt_caption_and_tags_of_an_animated_photograph() -> None:
    image = animated_photograph(transparent=True)
    description = describe(image)
    assert description.description.splitlines() == [
        "Image Description:",
        "- Dimensions: 90x160 pixels",
        "- Format: PNG",
        "- Color mode: RGB color with alpha, 8 bits per channel",
        "- Orientation: portrait (stored on its side: EXIF 6)",
        "- Aspect ratio: 9:16",
        f"- File size: {len(image)} bytes",
        "- Colors: white 100 %",
        "- Brightness: very bright",
        "- Contrast: none",
        "- Kind: photograph",
        "- Animation: 2 frames, 1 second",
        "- Transparency: 56 %",
        "- Camera: Canon EOS 5D",
        "- Taken: 2023-07-14 12:34:56",
    ]

    assert description.alt == "Animated portrait photograph, mostly white, 90x160 pixels"
    assert description.caption == (
        "A very bright animated portrait photograph, mostly white, 90x160 pixels, "
        "taken with Canon EOS 5D on 2023-07-14."
    )
    assert description.tags == [
        "photograph",
        "animated",
        "portrait",
        "white",
        "very bright",
        "transparent",
        "png",
    ]


def test_lines_without_a_value_are_left_out() -> None:
    image = encoded(Image.new("RGB", (1000, 130), "#336699"), "PNG")
    lines = describe(image).description.splitlines()
    assert lines == [
        "Image Description:",
        "- Dimensions: 1000x130 pixels",
        "- Format: PNG",
        "- Color mode: RGB color, 8 bits per channel",
        "- Orientation: landscape",
        f"- File size: {file_size(len(image))}",
        "- Colors: blue 100 %",
        "- Brightness: medium",
        "- Contrast: none",
        "- Kind: graphic",
    ]


def test_model_text_usage_and_fallback_of_a_description_are_empty() -> None:
    description = describe(encoded(halves(), "PNG"), language="de", prompt="What?", detail="high")
    assert (description.model, description.language, description.text) == (None, "en", "")
    assert (description.usage, description.fallback) == (None, None)


@pytest.mark.parametrize("length", [0, 5, 18, 19, 47, 48, 100, 10_000])
def test_description_is_cut_to_max_length_between_lines(length: int) -> None:
    image = encoded(halves(), "PNG")
    whole = describe(image).description
    cut = describe(image, maxLength=length).description
    assert len(cut) <= length
    assert whole.startswith(cut)
    if length >= len("Image Description:"):
        assert whole[len(cut) : len(cut) + 1] in ("", "\n")


RATIOS = [
    ((1920, 1080), "16:9", "landscape"),
    ((1080, 1920), "9:16", "portrait"),
    ((1366, 768), "16:9", "landscape"),
    ((640, 427), "3:2", "landscape"),
    ((3024, 4032), "3:4", "portrait"),
    ((1280, 800), "16:10", "landscape"),
    ((3440, 1440), "21:9", "landscape"),
    ((1125, 2436), "9:19.5", "portrait"),
    ((512, 512), "1:1", "square"),
    ((500, 498), "1:1", "square"),
    ((500, 480), None, "landscape"),
    ((1000, 10), None, "landscape"),
]


@pytest.mark.parametrize(("size", "ratio", "orientation"), RATIOS)
def test_common_aspect_ratio_is_named(
    size: tuple[int, int], ratio: str | None, orientation: str
) -> None:
    facts = read_facts(encoded(Image.new("1", size), "PNG"))
    assert (facts.aspect_ratio, facts.orientation) == (ratio, orientation)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (196_653, "197 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (12_345_678, "12.3 MB"),
        (2_000_000_000, "2 GB"),
    ],
)
def test_file_size_is_in_decimal_units(size: int, words: str) -> None:
    assert file_size(size) == words


@pytest.mark.parametrize(
    ("kind", "seconds"), [("GIF", 1.0), ("PNG", 1.0), ("WebP", 1.0), ("AVIF", 1.0)]
)
def test_frames_and_duration_of_an_animation_are_described(kind: str, seconds: float) -> None:
    facts = describe(animation(kind, frames=4, milliseconds=250)).facts
    assert (facts["frames"], facts["animationSeconds"]) == (4, seconds)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WebP", "AVIF"])
def test_single_frame_is_not_an_animation(kind: str) -> None:
    facts = describe(animation(kind, frames=1)).facts
    assert (facts["frames"], "animationSeconds" in facts) == (1, False)


def test_animation_without_delays_has_no_duration() -> None:
    facts = describe(animation("GIF", milliseconds=0)).facts
    assert (facts["frames"], "animationSeconds" in facts) == (4, False)


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_description_of_a_photograph_is_well_formed(path: Path) -> None:
    description = describe(path.read_bytes())
    assert description.description.startswith("Image Description:\n- Dimensions: ")
    assert 0 < len(description.alt) <= MAX_ALT_CHARACTERS
    assert not description.alt.lower().startswith(("image", "picture of"))
    assert description.caption.endswith(".")
    assert description.caption.count("\n") == 0

    facts: dict[str, Any] = dict(description.facts)
    shares = [color["share"] for color in facts["colors"]]
    assert 1 <= len(shares) <= 5
    assert sum(shares) <= 100
    assert min(shares) >= 3
    assert shares == sorted(shares, reverse=True)


def test_description_is_plain_json_small_enough_for_an_imagejob() -> None:
    for image in (
        animated_photograph(transparent=True),
        encoded(chart(), "JPEG"),
        PHOTOGRAPHS[0].read_bytes(),
    ):
        description = describe(image)
        stored = json.dumps(description.model_dump(mode="json", by_alias=True))
        assert len(stored) < INLINE_RESULT_BYTES / 2
        assert json.loads(json.dumps(description.facts)) == description.facts


def test_concurrent_threads_return_the_same_descriptions_as_one_thread() -> None:
    images = [path.read_bytes() for path in PHOTOGRAPHS] + [
        animation(kind) for kind in ("GIF", "PNG", "WebP", "AVIF")
    ]
    one_by_one = [describe(image) for image in images]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(describe, 3 * images)) == 3 * one_by_one
