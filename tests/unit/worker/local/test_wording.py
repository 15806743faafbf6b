"""Tests of the sentences, captions, alternative texts and tags of the describer local."""

from collections.abc import Sequence

import pytest
from pictures import encoded, halves, noise
from vision_node_contract.models.description import MAX_ALT_CHARACTERS
from vision_node_describer.describers.local.boxes import as_boxes
from vision_node_describer.describers.local.classes import Label, load_classes
from vision_node_describer.describers.local.labels import Choice
from vision_node_describer.describers.local.objects import Object
from vision_node_describer.describers.local.picture_kind import PictureKind
from vision_node_describer.describers.local.subjects import find_subjects, is_outdoors
from vision_node_describer.describers.local.wording import Scene, alt_of, caption_of, tags_of
from vision_node_describer.describers.metadata.facts import read_facts

FACTS = read_facts(encoded(noise(200, 100), "PNG"))
GRAPHIC_FACTS = read_facts(encoded(halves(), "PNG"))


def thing(name: str, count: int = 1, *, score: float = 0.8, at_least: bool = False) -> Object:
    boxes = as_boxes([[0, 0, 10 * count, 10, score, 0]] * count)
    return Object(name, count, at_least, score, boxes)


def label(name: str, confidence: float = 0.9) -> Label:
    path = next(path[path.index(name) :] for path in load_classes().paths if name in path)
    return Label(name, confidence, path[1:], is_group=len(load_classes().members(name)) > 1)


def sure(name: str) -> Choice:
    return Choice(label(name), None)


def likely(name: str, of: str | None = None) -> Choice:
    return Choice(label(of) if of else None, label(name, 0.65))


def known(choice: Choice | None) -> list[Label]:
    """Return the labels of a choice. Each broader label is slightly more certain."""
    if choice is None:
        return []

    return [
        label(name, choice.label.confidence + 0.01 * level)
        for level, name in enumerate(choice.label.path)
    ]


def scene(
    objects: Sequence[Object] = (),
    choice: Choice | None = None,
    *,
    kind: PictureKind = "photograph",
    colorless: bool = False,
    text: str = "",
) -> Scene:
    return Scene(
        facts=FACTS if kind == "photograph" else GRAPHIC_FACTS,
        kind=kind,
        subjects=find_subjects(objects, choice, known(choice)),
        is_outdoors=is_outdoors(objects, choice),
        is_colorless=colorless,
        text=text,
    )


CAPTIONS: dict[str, tuple[Scene, str]] = {
    "one person": (scene([thing("person")]), "Photograph of a person."),
    "people and a dog": (
        scene([thing("person", 2), thing("dog")]),
        "Photograph of two people and a dog.",
    ),
    "three things": (
        scene([thing("car", 3, at_least=True), thing("person"), thing("dog")]),
        "Photograph of at least three cars, a person and a dog.",
    ),
    "breed of a detected animal": (
        scene([thing("cat")], likely("Egyptian cat", "cat")),
        "Photograph of a cat, likely an Egyptian cat.",
    ),
    "breed in a list": (
        scene([thing("dog"), thing("person")], likely("beagle", "dog")),
        "Photograph of a dog, likely a beagle, and a person.",
    ),
    "breed of two": (
        scene([thing("cat", 2)], likely("Egyptian cat", "cat")),
        "Photograph of two cats.",
    ),
    "contents of a cup": (
        scene([thing("cup")], sure("espresso")),
        "Photograph of a cup of espresso.",
    ),
    "contents of a glass": (
        scene([thing("wine glass")], sure("red wine")),
        "Photograph of a glass of red wine.",
    ),
    "more than one": (scene([thing("person", at_least=True)]), "Photograph of people."),
    "classifier alone": (scene(choice=sure("cheetah")), "Photograph of a cheetah."),
    "only a group": (scene(choice=sure("bird")), "Photograph of a bird."),
    "uncertain": (scene(choice=likely("tripod")), "Photograph, likely of a tripod."),
    "group and class": (
        scene(choice=likely("koala", "animal")),
        "Photograph of an animal, likely a koala.",
    ),
    "group with a choice in its name": (
        scene(choice=likely("building", "building or structure")),
        "Photograph, likely of a building.",
    ),
    "uncertain thing beside a certain one": (
        scene([thing("person")], likely("tripod")),
        "Photograph of a person, and likely also a tripod.",
    ),
    "uncertain detection": (scene([thing("car", score=0.5)]), "Photograph, likely of a car."),
    "uncertain things after the certain ones": (
        scene([thing("car", 2), thing("cup", score=0.5), thing("person")], likely("tripod")),
        "Photograph of two cars and a person, and likely also a cup and a tripod.",
    ),
    "breed before an uncertain thing": (
        scene([thing("dog"), thing("cup", score=0.5)], likely("beagle", "dog")),
        "Photograph of a dog, likely a beagle, and likely also a cup.",
    ),
    "nothing certain": (scene(), "Photograph, mostly gray and purple."),
    "same thing twice": (scene([thing("car")], sure("vehicle")), "Photograph of a car."),
    "clothes of a person": (
        scene([thing("person")], sure("military uniform")),
        "Photograph of a person.",
    ),
    "people in a landscape": (
        scene([thing("person", 2)], sure("landscape")),
        "Photograph of two people outdoors.",
    ),
    "people perhaps in a landscape": (
        scene([thing("person", 2)], likely("landscape")),
        "Photograph of two people, and likely also a landscape.",
    ),
    "landscape": (scene(choice=sure("coast")), "Photograph of a coast."),
    "gray": (
        scene([thing("person")], colorless=True),
        "Black-and-white photograph of a person.",
    ),
    "text in a photograph": (
        scene(choice=sure("street sign"), text="Main Street"),
        "Photograph of a street sign with the text “Main Street”.",
    ),
    "text alone": (scene(text="NO ENTRY"), "Photograph with the text “NO ENTRY”."),
    "screenshot": (
        scene(kind="screenshot", text="Settings\nWi-Fi"),
        "Screenshot with the text “Settings Wi-Fi”.",
    ),
    "chart": (scene(kind="chart", text="Sales 2025"), "Chart with the text “Sales 2025”."),
    "page": (scene(kind="document", text="Dear Sir"), "Page with the text “Dear Sir”."),
    "graphic": (scene(kind="graphic"), "Graphic, mostly red and blue."),
    "pattern": (scene(kind="pattern"), "Pattern or texture, mostly red and blue."),
    "painting": (scene(kind="drawing"), "Drawing or painting, mostly red and blue."),
}


@pytest.mark.parametrize(("shown", "caption"), CAPTIONS.values(), ids=CAPTIONS)
def test_scene_has_the_expected_caption(shown: Scene, caption: str) -> None:
    assert caption_of(shown) == caption


@pytest.mark.parametrize("name", CAPTIONS)
def test_alternative_text_is_the_caption_without_its_period(name: str) -> None:
    shown, caption = CAPTIONS[name]
    assert alt_of(shown) == caption.removesuffix(".")


def test_alternative_text_is_short() -> None:
    many = [thing("traffic light", 12, at_least=True), thing("baseball glove", 11, at_least=True)]
    names = ("refrigerator", "parking meter", "potted plant", "mobile phone", "sandwich")
    shown = scene([*many, *(thing(name, 11, at_least=True) for name in names)])
    assert len(caption_of(shown)) > MAX_ALT_CHARACTERS
    assert len(alt_of(shown)) <= MAX_ALT_CHARACTERS
    assert alt_of(shown).endswith("…")


@pytest.mark.parametrize("length", [5, 50, 100, 140, 150, 500, 5000])
def test_long_text_is_shortened(length: int) -> None:
    shown = scene([thing("person", 2), thing("dog")], text="word " * (length // 5))
    assert len(alt_of(shown)) <= MAX_ALT_CHARACTERS
    assert len(caption_of(shown)) <= 300
    assert alt_of(shown).startswith("Photograph of two people and a dog with the text “word")


def test_text_cannot_end_the_quotation() -> None:
    shown = scene(text="a” and a cat. “b\nc")
    assert caption_of(shown) == 'Photograph with the text “a" and a cat. "b c”.'


def test_tags_are_plain_words_sorted_by_certainty() -> None:
    shown = scene(
        [thing("person", score=0.7), thing("dog", score=0.9)], likely("beagle", "dog"), text="Stop"
    )
    assert tags_of(shown)[:5] == ["dog", "person", "beagle", "photograph", "text"]
    assert len(set(tags_of(shown))) == len(tags_of(shown))


def test_tags_name_the_groups_of_a_class() -> None:
    assert tags_of(scene(choice=sure("cheetah")))[:4] == [
        *("animal", "big cat", "cheetah", "photograph"),
    ]


def test_outdoor_scene_has_the_tag_outdoors() -> None:
    assert "outdoors" in tags_of(scene([thing("person")], sure("landscape")))
    assert "outdoors" not in tags_of(scene([thing("person")], likely("landscape")))


def test_tags_contain_the_kind_that_the_describer_found() -> None:
    assert tags_of(scene(kind="chart"))[0] == "chart"
    assert "photograph" not in tags_of(scene(kind="chart"))
