"""Tests of the ocr describer: its words, reading order, detected language and memory use."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from pictures import PHOTOGRAPHS, encoded, noise
from PIL import Image, ImageDraw
from printed import CONDITIONS, FONTS, Condition, draw_lines, font, page, pages, words_read
from vision_node_contract.models.description import MAX_ALT_CHARACTERS, Description, Options
from vision_node_describer.describers import DESCRIBERS, Describer, load
from vision_node_describer.describers.ocr.phrasing import printable
from vision_node_describer.memory import RESERVED_BYTES

NOTICE = ["Wet paint: please keep off the grass", "and use the other entrance on the left."]


@pytest.fixture(scope="module")
def ocr() -> Describer:
    return load("ocr")


def describe(ocr: Describer, picture: Image.Image | bytes, **options: object) -> Description:
    image = picture if isinstance(picture, bytes) else encoded(picture, "PNG")
    return ocr.describe(image, Options.model_validate(options))


def ocr_facts(description: Description) -> dict[str, Any]:
    return cast("dict[str, Any]", description.facts["ocr"])


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
def test_words_in_ten_fonts_are_recognized(ocr: Describer, condition: Condition) -> None:
    read = total = 0
    for number, name in enumerate(FONTS):
        all_pages = pages(name)
        # Read a different passage in each font; `make bench-ocr` reads all passages.
        sample = all_pages[number % len(all_pages)]
        read += words_read(sample.words, describe(ocr, condition.file(sample.picture)).text)
        total += len(sample.words)

    assert total > 300
    assert read >= condition.bar * total


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotated_text_is_recognized(ocr: Describer, degrees: int) -> None:
    description = describe(ocr, page("Roboto", NOTICE).picture.rotate(degrees, expand=True))
    assert description.text.splitlines() == NOTICE


def test_exif_orientation_is_applied_before_text_is_read(ocr: Describer) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = page("Roboto", NOTICE).picture.rotate(90, expand=True)
    description = describe(ocr, encoded(stored, "JPEG", exif=exif))
    assert description.text.splitlines() == NOTICE
    assert description.facts["width"] == 1000


def test_columns_are_read_one_after_another(ocr: Describer) -> None:
    picture = Image.new("RGB", (1000, 260), "white")
    left = ["The first column tells of a", "man who went to sea, and", "of what he found there."]
    right = ["The second one is about his", "sister, who had stayed at", "home, and was content."]
    heading = "Two stories that have one and the same heading over both of them"
    draw_lines(picture, [heading], (30, 20), font("Roboto"))
    draw_lines(picture, left, (30, 90), font("Roboto"))
    draw_lines(picture, right, (540, 90), font("Roboto"))
    assert describe(ocr, picture).text.splitlines() == [heading, *left, *right]


def test_tables_are_read_row_by_row(ocr: Describer) -> None:
    picture = Image.new("RGB", (800, 200), "white")
    draw_lines(picture, ["Apples", "Pears", "Total"], (30, 20), font("Roboto"))
    draw_lines(picture, ["3.50", "4.25", "7.75"], (600, 20), font("Roboto"))
    assert describe(ocr, picture).text.splitlines() == ["Apples 3.50", "Pears 4.25", "Total 7.75"]


def test_box_of_a_line_is_in_pixels_of_the_displayed_picture(ocr: Describer) -> None:
    picture = Image.new("RGB", (900, 300), "white")
    draw_lines(picture, ["Gate 12"], (500, 200), font("Roboto"))
    ink = picture.convert("L").point(lambda value: 255 - value).getbbox()
    assert ink

    for degrees in (0, 180):
        left, top, width, height = ocr_facts(describe(ocr, picture.rotate(degrees)))["lines"][0][
            "box"
        ]
        expected = ink if not degrees else (900 - ink[2], 300 - ink[3], 900 - ink[0], 300 - ink[1])
        assert (left, top, left + width, top + height) == pytest.approx(expected, abs=8)


@pytest.mark.parametrize(("orientation", "top"), [(1, 20), (3, 230)])
def test_truncated_file_does_not_change_the_box_of_a_line(
    ocr: Describer, orientation: int, top: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = Image.new("RGB", (900, 300), "white")
    draw_lines(shown, ["Gate 12"], (300, top), font("Roboto"))
    stored = shown.rotate(180 if orientation == 3 else 0)
    stored.paste(noise(900, 40), (0, 260))
    whole = encoded(stored, "JPEG", exif=exif)

    cut = describe(ocr, whole[: len(whole) * 9 // 10])
    (line,), (same,) = (
        ocr_facts(description)["lines"] for description in (cut, describe(ocr, whole))
    )
    assert cut.facts["truncated"] is True
    assert (line["text"], line["box"]) == ("Gate 12", pytest.approx(same["box"], abs=8))


@pytest.mark.parametrize("path", [*PHOTOGRAPHS[:3], PHOTOGRAPHS[-1]], ids=lambda path: path.stem)
def test_no_text_is_found_in_a_photograph_without_text(ocr: Describer, path: Path) -> None:
    description = describe(ocr, path.read_bytes())
    metadata = load("metadata").describe(path.read_bytes(), Options())
    assert "- Text: none found" in description.description
    assert (description.text, ocr_facts(description)) == ("", {"lines": []})
    assert (description.alt, description.tags) == (metadata.alt, metadata.tags)
    assert metadata.facts.items() <= description.facts.items()


def test_text_appears_in_description_alt_caption_tags_and_facts(ocr: Describer) -> None:
    description = describe(ocr, page("Roboto", NOTICE).picture)
    text = " ".join(NOTICE)
    assert description.description.startswith(f"Image Description:\n- Text: “{text}”\n")
    assert "\n- Dimensions: 1000x200 pixels\n" in description.description
    assert description.alt == f"Text: “{text}”"
    assert description.caption.endswith(f", with the text “{text}”.")
    assert description.tags[0] == "text"
    assert description.facts["width"] == 1000

    facts = ocr_facts(description)
    assert facts["language"] == "en"
    assert (
        min(facts["confidence"], facts["languageConfidence"], facts["lines"][0]["confidence"]) > 0.8
    )


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Bitte den Rasen nicht betreten, die Farbe ist noch frisch.", "de"),
        ("Prière de ne pas marcher sur la pelouse après la tombée de la nuit.", "fr"),
        ("Por favor, no pise el césped durante la noche.", "es"),
        ("EXIT", None),
        ("2048 / 17", None),
    ],
)
def test_language_is_reported_only_if_it_is_certain(
    ocr: Describer, text: str, language: str | None
) -> None:
    description = describe(ocr, page("Noto Sans", [text]).picture)
    assert description.text == text
    assert ocr_facts(description).get("language") == language
    assert description.language == "en"  # the language of the description, not of the text


def test_long_text_is_shortened_for_short_fields(ocr: Describer) -> None:
    picture = Image.new("RGB", (1000, 900), "white")
    line = "of words that say a great deal and then go on for a while"
    draw_lines(picture, [line] * 20, (30, 20), font("Roboto"))
    description = describe(ocr, picture)
    assert len(description.text.splitlines()) == 20
    assert len(description.alt) == MAX_ALT_CHARACTERS
    assert description.alt.endswith("…”")
    assert len(description.description) < 1500
    assert describe(ocr, picture, maxLength=60).description == "Image Description:"


def test_line_that_is_too_long_for_the_model_is_recognized_in_parts(ocr: Describer) -> None:
    words = [
        f"{word}-{number}" for number in range(12) for word in ("harbour", "lantern", "meadow")
    ]
    picture = Image.new("RGB", (4600, 60), "white")
    draw_lines(picture, [" ".join(words)], (20, 16), font("Roboto"))
    assert describe(ocr, picture).text.split() == words


def test_control_characters_are_removed() -> None:
    assert printable("a\x00b\x1b[31m\u202e c\u200bd\ue000\n  e") == "a b [31m c d e"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_text_is_recognized_in_each_mode(ocr: Describer, mode: str) -> None:
    gray = page("Roboto", NOTICE).picture.convert("L")
    if mode == "I;16":
        doubled = bytes(part for value in gray.tobytes() for part in (value, value))
        picture = Image.frombytes(mode, gray.size, doubled)
    else:
        picture = gray.convert(mode)

    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert describe(ocr, encoded(picture, kind)).text.splitlines() == NOTICE


@pytest.mark.parametrize("ink", ["white", "black"])
def test_text_on_a_transparent_background_is_recognized(ocr: Describer, ink: str) -> None:
    picture = Image.new("RGBA", (400, 80))
    ImageDraw.Draw(picture).text((20, 20), "Clear as day", font=font("Roboto"), fill=ink)
    assert describe(ocr, picture).text == "Clear as day"


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (20_000, 1), (1, 20_000), (9, 9), (60_000, 12)])
def test_no_text_is_found_in_blank_pictures_of_unusual_sizes(
    ocr: Describer, size: tuple[int, int]
) -> None:
    assert describe(ocr, Image.new("RGB", size, "white")).text == ""


def test_text_in_a_large_picture_is_recognized(ocr: Describer) -> None:
    picture = Image.new("RGB", (4600, 3000), "white")
    large = font("Roboto", 72)
    ImageDraw.Draw(picture).text((900, 1400), "Keep off the grass", font=large, fill="black")
    description = describe(ocr, picture)
    assert description.text == "Keep off the grass"
    left, top, *_ = ocr_facts(description)["lines"][0]["box"]
    assert (left, top) == pytest.approx((900, 1400), abs=40)


PROBE = """
import sys
from pathlib import Path
from tempfile import gettempdir

def forbid(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise SystemExit(f"{event} {arguments}")
    # py3langid unpacks its language model into an unnamed temporary file.
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes and arguments[0] != gettempdir():
        raise SystemExit(f"opens {arguments[0]} for writing")

sys.dont_write_bytecode = True
sys.addaudithook(forbid)
from vision_node_contract.models.description import Options
from vision_node_describer.describers import load
ocr, image = load("ocr"), sys.stdin.buffer.read()
text = ocr.describe(image, Options()).text
status = Path("/proc/self/status").read_text().splitlines()
peak = next(line for line in status if line.startswith("VmHWM"))
print(int(peak.split()[1]) << 10, ocr.memory(image), ocr.shared_memory, text)
"""


def test_ocr_writes_no_files_uses_no_network_and_stays_within_its_memory_estimate(
    tmp_path: Path,
) -> None:
    image = encoded(page("Roboto", NOTICE).picture, "PNG")
    # If its telemetry were enabled, onnxruntime would store an ID in HOME, unless CI or
    # XDG_CACHE_HOME is set. This environment therefore sets neither.
    environment = {"PATH": os.defpath, "HOME": str(tmp_path)}
    command = [sys.executable, "-c", PROBE]
    done = subprocess.run(
        command, input=image, env=environment, capture_output=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr.decode()
    assert list(tmp_path.iterdir()) == []

    peak, wanted, shared, text = done.stdout.decode().split(maxsplit=3)
    assert text.splitlines() == NOTICE
    assert int(peak) <= 600_000_000
    assert int(peak) <= RESERVED_BYTES + int(shared) + int(wanted)


@pytest.mark.parametrize("name", sorted(DESCRIBERS.keys() - {"local", "ocr"}))
def test_other_describers_do_not_load_the_ocr_libraries(name: str) -> None:
    module = DESCRIBERS[name].partition(":")[0]
    code = f"""
import sys
import vision_node_describer.worker
import vision_node_describer.describers.{module}
sys.exit(", ".join(sys.modules.keys() & {{"cv2", "numpy", "onnxruntime", "py3langid", "rapidocr"}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=60
    )
    assert done.stderr.decode().strip() == ""
