"""Tests of the page in a real browser: objects, labels, faces and text found in an image."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from ui.page import DESCRIBED_MS, call, expect_described, open_with_two_describers

PERSON = {
    "name": "person",
    "count": 2,
    "confidence": 0.81,
    "boxes": [[0.1, 0.2, 0.25, 0.7], [0.5, 0.02, 0.3, 0.9]],
}
DOG = {"name": "dog", "count": 1, "confidence": 0.524, "boxes": [[0.7, 0.6, 0.25, 0.35]]}
FACTS = {
    "width": 640,
    "pictureKind": "photograph",
    "objects": [PERSON, DOG],
    "labels": [{"name": "Egyptian cat", "confidence": 0.62, "parents": ["cat", "animal"]}],
    "faces": {"count": 1, "boxes": [[0.15, 0.25, 0.1, 0.1]]},
}
RESULT = {
    "description": "Image Description:\nTwo people and a dog, likely outdoors.\n"
    "A sign says “EXIT”.\n- Dimensions: 640x427 pixels\n- Format: JPEG",
    "caption": "Photograph of two people and a dog.",
    "alt": "Two people and a dog",
    "tags": ["person", "dog"],
    "text": "EXIT",
    "facts": FACTS,
    "language": "en",
    "describer": "local",
    "seconds": 0.2,
}
HOSTILE = "<img src=x onerror=alert(1)>"


def describe(page: Page, photo: Path, result: dict[str, Any]) -> Locator:
    """Submit the photo, and return its card, which shows this result."""
    page.route("**/result/**", lambda route: route.fulfill(json=result))
    page.get_by_label("Images", exact=True).set_input_files(photo)
    card = page.get_by_role("article", name=photo.name)
    expect(card.get_by_role("button", name="Copy JSON")).to_be_visible(timeout=DESCRIBED_MS)
    return card


def test_sentences_come_first_and_facts_about_the_file_last(page: Page, photo: Path) -> None:
    card = describe(page, photo, RESULT)
    sentences = ["Two people and a dog, likely outdoors.", "A sign says “EXIT”."]
    expect(card.locator(".description > *")).to_have_text(sentences)
    expect(card.locator(".caption")).to_be_hidden()
    expect(card.locator(".details dt")).to_have_text(["Dimensions", "Format"])

    expect(card.locator(".result h4:visible")).to_have_text(
        ["Image Description:", "In the image", "Labels", "Text in the image", "Details", "Alt text"]
    )


def test_caption_is_shown_if_the_description_has_no_sentence(page: Page, photo: Path) -> None:
    card = describe(page, photo, {**RESULT, "description": "Image Description:\n- Format: JPEG"})
    expect(card.locator(".caption")).to_have_text(RESULT["caption"])


def test_things_have_counts_and_confidences(page: Page, photo: Path) -> None:
    card = describe(page, photo, RESULT)
    expect(card.locator(".things li")).to_have_text(["2 people81 %", "1 dog52 %", "1 face"])
    expect(card.locator(".things .meter span").first).to_have_attribute("style", "width: 81%;")
    expect(card.locator(".labels li")).to_have_text(["Egyptian cat cat › animal62 %"])


def test_findings_stay_after_a_reload(page: Page, photo: Path) -> None:
    describe(page, photo, RESULT)
    page.reload()
    expect(page.locator(".things li").first).to_contain_text("2 people")
    page.get_by_label("Show boxes").check()
    expect(page.locator(".boxes")).to_be_visible()


def test_boxes_are_shown_and_hidden_with_the_keyboard(page: Page, photo: Path) -> None:
    card = describe(page, photo, RESULT)
    boxes = card.get_by_role("list", name="Boxes on the preview")
    expect(card.locator(".preview img")).to_be_visible()
    expect(boxes).to_be_hidden()

    show = card.get_by_role("checkbox", name="Show boxes")
    expect(show).not_to_be_checked()
    expect(show).to_have_accessible_description(photo.name)
    show.focus()
    page.keyboard.press("Space")
    expect(boxes.get_by_role("listitem")).to_have_text(["person", "person", "dog", "face"])
    expect(show).to_be_focused()
    expect(show).to_be_in_viewport()

    page.keyboard.press("Space")
    expect(boxes).to_be_hidden()


@pytest.mark.parametrize("width", [360, 820, 1920])
def test_boxes_scale_with_the_picture(page: Page, photo: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    card = describe(page, photo, RESULT)
    card.get_by_label("Show boxes").check()

    picture = card.locator(".preview img").bounding_box()
    shown = card.locator(".boxes li", has_text="dog").bounding_box()
    assert picture
    assert shown
    left, top, across, down = DOG["boxes"][0]  # type: ignore[index]
    assert shown == {
        "x": pytest.approx(picture["x"] + left * picture["width"], abs=1),
        "y": pytest.approx(picture["y"] + top * picture["height"], abs=1),
        "width": pytest.approx(across * picture["width"], abs=1),
        "height": pytest.approx(down * picture["height"], abs=1),
    }

    assert picture["width"] / picture["height"] == pytest.approx(640 / 427, rel=0.02)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    "facts",
    [
        {"labels": [{"name": "Cat", "confidence": 0.97}], "faces": 2, "unsafe": []},
        {"width": 640, "height": 427},
        {"objects": "cat", "labels": {"a": 1}, "faces": None},
        [],
        None,
    ],
)
def test_results_without_findings_have_a_caption_and_no_boxes(
    page: Page, photo: Path, facts: object
) -> None:
    card = describe(page, photo, {**RESULT, "facts": facts})
    expect(card.locator(".caption")).to_have_text(RESULT["caption"])
    expect(card.locator(".description dt")).to_have_text(["Dimensions", "Format"])

    for hidden in (".findings", ".details", ".boxes-choice", ".expand"):
        expect(card.locator(hidden)).to_be_hidden()


def test_html_in_names_is_shown_as_text(page: Page, photo: Path) -> None:
    hostile = {**DOG, "name": HOSTILE}
    labels = [{"name": HOSTILE, "confidence": 0.5, "parents": [HOSTILE]}]
    card = describe(page, photo, {**RESULT, "facts": {"objects": [hostile], "labels": labels}})
    card.get_by_label("Show boxes").check()

    expect(card.locator(".boxes li")).to_have_text([HOSTILE])
    expect(card.locator(".things .what")).to_have_text([f"1 {HOSTILE}"])
    expect(card.locator(".labels .what")).to_have_text([f"{HOSTILE} {HOSTILE}"])
    expect(page.locator("article img")).to_have_count(1)


def test_long_text_is_cut_until_it_is_expanded(page: Page, photo: Path) -> None:
    lines = "\n".join(f"Line {number}" for number in range(30))
    card = describe(page, photo, {**RESULT, "text": lines})
    quote = card.locator("blockquote")
    assert is_cut(quote)

    card.get_by_role("button", name="Show all text", expanded=False).click()
    assert not is_cut(quote)

    card.get_by_role("button", name="Show less text", expanded=True).click()
    assert is_cut(quote)


def is_cut(element: Locator) -> bool:
    return bool(element.evaluate("(element) => element.scrollHeight > element.clientHeight + 1"))


def test_short_text_is_not_cut(page: Page, photo: Path) -> None:
    card = describe(page, photo, RESULT)
    expect(card.locator("blockquote")).to_have_text("EXIT")
    expect(card.locator(".expand")).to_be_hidden()


@pytest.mark.parametrize(
    ("choice", "sent"), [("Automatic", None), ("Always", "true"), ("Never", "false")]
)
def test_choice_to_read_text_is_submitted(
    page: Page, photo: Path, choice: str, sent: str | None
) -> None:
    open_with_two_describers(page)
    page.get_by_label("Read text").select_option(choice)
    with page.expect_request("**/submit") as submitted:
        page.get_by_label("Images", exact=True).set_input_files(photo)

    body = submitted.value.post_data_buffer or b""
    field = f'name="text"\r\n\r\n{sent}\r\n'.encode()
    assert (field in body) == (sent is not None)
    assert (b'name="text"' in body) == (sent is not None)
    expect_described(page, photo.name)


@pytest.mark.parametrize(
    ("box", "shown"),
    [
        ([0, 0, 1, 1], [[0, 0, 1, 1]]),
        ([0.5, 0.5, 0.505, 0.25], [[0.5, 0.5, 0.5, 0.25]]),  # a rounding error
        ([0.5, 0.5, 0.6, 0.25], []),
        ([0.1, 0.1, 0, 0.1], []),
        ([-0.1, 0.1, 0.2, 0.2], []),
        ([0.1, 0.1, 0.2], []),
        ([0.1, 0.1, 0.2, 0.2, 0.2], []),
        ([0.1, 0.1, 0.2, "0.2"], []),
        ([0.1, 0.1, 0.2, None], []),
        ({"left": 0.1}, []),
        ("0.1", []),
    ],
)
def test_boxes_that_are_not_in_the_image_are_left_out(
    modules: Page, box: object, shown: list[list[float]]
) -> None:
    found = call(modules, "findings.js", "findingsOf", {"objects": [{**DOG, "boxes": [box]}]})
    assert found["things"][0]["boxes"] == shown


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1", "1.01", "'0.5'", "null", "[0.5]"])
def test_invalid_confidence_is_not_shown(modules: Page, number: str) -> None:
    found = modules.evaluate(
        f"""async () => {{
          const {{ findingsOf }} = await import(new URL("ui/findings.js", document.baseURI));
          const box = [0.1, 0.1, 0.1, {number}];
          const objects = [{{ name: "dog", count: 1, confidence: {number}, boxes: [box] }}];
          return JSON.stringify(findingsOf({{ objects }}).things);
        }}"""
    )
    assert json.loads(found) == [{"name": "dog", "count": 1, "boxes": []}]


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", None, 1e9, True])
def test_things_without_a_valid_count_are_left_out(modules: Page, count: object) -> None:
    facts = {"objects": [{**DOG, "count": count}, PERSON], "faces": {"count": count}}
    found = call(modules, "findings.js", "findingsOf", facts)
    assert [thing["name"] for thing in found["things"]] == ["person"]
    assert found.get("faces") is None


def test_number_of_boxes_is_limited(modules: Page) -> None:
    crowd = {**PERSON, "count": 500, "boxes": [[0.1, 0.1, 0.1, 0.1]] * 500}
    faces = {"count": 500, "boxes": crowd["boxes"]}
    found = call(modules, "findings.js", "findingsOf", {"objects": [crowd, crowd], "faces": faces})
    assert len(call(modules, "findings.js", "boxesOf", found)) == 100


@pytest.mark.parametrize(
    ("name", "several"),
    [
        ("dog", "dogs"),
        ("person", "people"),
        ("bus", "buses"),
        ("bench", "benches"),
        ("knife", "knives"),
        ("wine glass", "wine glasses"),
        ("computer mouse", "computer mice"),
        ("sheep", "sheep"),
        ("butterfly", "butterflies"),
        ("constructor", "constructors"),
    ],
)
def test_plural_is_used_for_several_things(modules: Page, name: str, several: str) -> None:
    assert call(modules, "text.js", "plural", name) == several
    thing = {"name": name, "count": 1200, "boxes": []}
    assert call(modules, "findings.js", "counted", thing) == f"1,200 {several}"


@pytest.mark.parametrize(("name", "one"), [("dog", "1 dog"), ("scissors", "scissors")])
def test_singular_is_used_for_one_thing(modules: Page, name: str, one: str) -> None:
    assert call(modules, "findings.js", "counted", {"name": name, "count": 1, "boxes": []}) == one
