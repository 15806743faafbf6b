"""Tests of the describer local: what it says about photographs, and when it reads text."""

import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest
import skimage
import sklearn.datasets
from corpus import CASES
from corpus.case import Outcome
from pictures import STORED_TURNED, encoded
from PIL import Image
from printed import page
from vision_node_contract.models.description import MAX_ALT_CHARACTERS, Description, Options
from vision_node_contract.models.reasons import DescribeError
from vision_node_describer.describers import Describer, load
from vision_node_describer.memory import RESERVED_BYTES

# Pillow warns about invalid EXIF and malformed MPO files. Workers ignore these warnings, too.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SKIMAGE = Path(skimage.__file__).parent / "data"
CHINA = Path(sklearn.datasets.__file__).parent / "images" / "china.jpg"
CHELSEA = SKIMAGE / "chelsea.png"
NOTICE = ["Wet paint: please keep off the grass", "and use the other entrance on the left."]


@pytest.fixture(scope="module")
def local() -> Describer:
    return load("local")


def describe(local: Describer, picture: Image.Image | Path, **options: object) -> Description:
    image = picture.read_bytes() if isinstance(picture, Path) else encoded(picture, "PNG")
    return cast("Description", local.describe(image, Options.model_validate(options)))


def named(facts: Any, key: str) -> dict[str, Any]:
    return {entry["name"]: entry for entry in facts.get(key, [])}


@pytest.mark.parametrize(
    ("file", "caption"),
    [
        (CHELSEA, "Photograph of a cat, likely an Egyptian cat."),
        (SKIMAGE / "coffee.png", "Photograph of a cup of espresso."),
        (SKIMAGE / "astronaut.png", "Photograph of a person."),
        (SKIMAGE / "motorcycle_left.png", "Photograph of a motorcycle."),
        (
            SKIMAGE / "camera.png",
            "Black-and-white photograph of a person, and likely also a tripod.",
        ),
        (CHINA, "Photograph of a building, likely a castle or palace."),
        (SKIMAGE / "brick.png", "Pattern or texture, mostly gray."),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else None,
)
def test_photograph_has_the_expected_caption(local: Describer, file: Path, caption: str) -> None:
    assert describe(local, file).caption == caption


def test_description_begins_with_a_sentence_before_the_facts(local: Describer) -> None:
    lines = describe(local, CHELSEA).description.splitlines()
    assert lines[:3] == [
        "Image Description:",
        "Photograph of a cat, likely an Egyptian cat.",
        "- Dimensions: 451x300 pixels",
    ]
    assert lines[-1] == "- Kind: photograph"


def test_description_contains_the_more_precise_kind(local: Describer) -> None:
    assert "\n- Kind: pattern" in describe(local, SKIMAGE / "brick.png").description


def test_facts_include_those_of_metadata(local: Describer) -> None:
    facts = describe(local, CHELSEA).facts
    known = cast("Description", load("metadata").describe(CHELSEA.read_bytes(), Options())).facts
    assert {key: facts[key] for key in known} == known


def test_facts_of_a_cat(local: Describer) -> None:
    facts = describe(local, CHELSEA).facts
    cat = named(facts, "objects")["cat"]
    assert cat["count"] == len(cat["boxes"]) == 1
    assert 0.45 <= cat["confidence"] <= 1

    left, top, width, height = cat["boxes"][0]
    assert 0 <= left < left + width <= 1.001
    assert 0 <= top < top + height <= 1.001
    assert width * height > 0.3

    label = named(facts, "labels")["Egyptian cat"]
    assert label["parents"] == ["cat", "animal"]
    assert 0.6 <= label["confidence"] <= 1
    assert "faces" not in facts


def test_face_is_counted_and_located(local: Describer) -> None:
    faces = cast("dict[str, Any]", describe(local, SKIMAGE / "astronaut.png").facts["faces"])
    assert faces["count"] == 1
    left, top, width, height = faces["boxes"][0]
    assert 0.3 < left + width / 2 < 0.55
    assert 0.1 < top + height / 2 < 0.35


def test_description_does_not_mention_that_nothing_was_found(local: Describer) -> None:
    described = describe(local, SKIMAGE / "retina.jpg")
    assert not {"objects", "labels", "faces", "ocr"} & described.facts.keys()
    for word in ("no ", "none", "without", "unknown"):
        assert word not in described.description.split("\n- ")[0].lower()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(local: Describer, orientation: int) -> None:
    """The picture is stored so that viewers that apply the EXIF orientation show it upright."""
    undo = STORED_TURNED[orientation]
    picture = Image.open(CHELSEA)
    stored = picture if undo is None else picture.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation

    found = local.describe(encoded(stored, "JPEG", exif=exif, quality=95), Options())
    described = cast("Description", found)
    assert described.caption == "Photograph of a cat, likely an Egyptian cat."
    _, _, width, height = named(described.facts, "objects")["cat"]["boxes"][0]
    assert width > 0.6
    assert height > 0.6


def test_transparent_cutout_is_described(local: Describer) -> None:
    cutout = Image.open(CHELSEA).convert("RGBA")
    mask = Image.new("L", cutout.size, 0)
    mask.paste(255, (40, 0, 420, 300))
    cutout.putalpha(mask)
    assert "cat" in describe(local, cutout).caption


def test_text_is_read_where_it_is_likely(local: Describer) -> None:
    described = describe(local, page("Roboto", NOTICE).picture)
    assert described.text.splitlines() == NOTICE
    assert "Wet paint" in described.caption
    assert "Wet paint" in described.alt
    assert "text" in described.tags
    assert described.model == "EfficientNet-Lite2, NanoDet-g, BlazeFace, PP-OCRv6 small"
    lines = cast("dict[str, Any]", described.facts["ocr"])["lines"]
    assert [line["text"] for line in lines] == NOTICE


def test_text_option_decides_whether_text_is_read(local: Describer) -> None:
    notice = page("Roboto", NOTICE).picture
    assert describe(local, notice, text=False).text == ""
    assert "ocr" not in describe(local, notice, text=False).facts

    photograph = Image.open(CHINA).convert("RGB")
    photograph.paste(notice.resize((500, 125)), (70, 280))
    assert describe(local, photograph).text == ""
    assert describe(local, photograph, text=True).text.splitlines() == NOTICE


@pytest.mark.parametrize(
    ("language", "warnings"),
    [
        (None, 0),
        ("en", 0),
        ("en-US", 0),
        ("English", 0),
        ("de", 1),
        ("French", 1),
    ],
)
def test_request_for_another_language_results_in_english_and_a_warning(
    local: Describer, language: str | None, warnings: int
) -> None:
    described = describe(local, CHELSEA, language=language)
    assert described.language == "en"
    assert described.caption.startswith("Photograph of a cat")
    assert len(described.warnings) == warnings
    assert all("English" in warning for warning in described.warnings)


@pytest.mark.parametrize(
    ("length", "description"),
    [
        (1, "I"),
        (18, "Image Description:"),
        (19, "Image…"),
        (40, "Image Description:\nPhotograph of a…"),
        (60, "Image Description:\nPhotograph of a cat, likely an…"),
        (63, "Image Description:\nPhotograph of a cat, likely an Egyptian cat."),
        (94, "Image Description:\nPhotograph of a cat, likely an Egyptian cat."),
    ],
)
def test_max_length_limits_the_description(local: Describer, length: int, description: str) -> None:
    described = describe(local, CHELSEA, maxLength=length)
    assert described.description.splitlines()[:2] == description.splitlines()
    assert len(described.description) <= length
    assert len(described.alt) <= MAX_ALT_CHARACTERS


def test_concurrent_calls_return_the_same_descriptions_as_separate_calls(local: Describer) -> None:
    files = [CHELSEA, SKIMAGE / "coffee.png", CHINA, SKIMAGE / "astronaut.png"]
    alone = [describe(local, file) for file in files]
    together: dict[int, Description] = {}

    def run(number: int) -> None:
        together[number] = describe(local, files[number % len(files)])

    threads = [Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert [together[number] for number in range(8)] == alone * 2


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.status == 202])
def test_corpus_file_has_the_same_outcome_as_with_metadata(local: Describer, name: str) -> None:
    case = CASES[name]
    assert local.memory(case.data) > 0
    try:
        described = cast("Description", local.describe(case.data, Options()))
        outcome = Outcome(202, None, described.description, dict(described.facts))
    except DescribeError as error:
        outcome = Outcome(202, error.reason, error.message)

    assert case.differences(outcome) == {}


PROBE = """
import re, sys, threading
from pathlib import Path
from vision_node_contract.models.description import Options
from vision_node_describer.describers import load

image = sys.stdin.buffer.read()
describer = load("local")
threads = [threading.Thread(target=describer.describe, args=(image, Options())) for _ in range(2)]
for thread in threads:
    thread.start()
running = len(list(Path("/proc/self/task").iterdir()))
for thread in threads:
    thread.join()
loaded = {"cv2", "rapidocr", "py3langid"} & sys.modules.keys()
peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(peak, describer.memory(image), describer.shared_memory, running, *sorted(loaded))
"""


def test_photographs_take_little_memory_and_one_thread_each() -> None:
    photograph = Image.open(CHINA).resize((1920, 1080))
    image = encoded(photograph, "JPEG", quality=90)
    done = subprocess.run(
        [sys.executable, "-c", PROBE], input=image, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()

    peak, wanted, shared, running, *loaded = done.stdout.decode().split()
    assert loaded == []
    assert int(running) == 3
    assert int(peak) <= 400_000_000
    assert int(peak) <= RESERVED_BYTES + int(shared) + 2 * int(wanted)
