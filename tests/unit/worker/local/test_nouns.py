"""Tests of nouns: articles, plurals and numbers."""

import pytest
from vision_node_describer.describers.local.classes import load_classes
from vision_node_describer.describers.local.nouns import counted, listed, plural, with_article
from vision_node_describer.describers.local.object_classes import NAMES


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [
        ("cat", "a cat"),
        ("Egyptian cat", "an Egyptian cat"),
        ("unicycle", "a unicycle"),
        ("umbrella", "an umbrella"),
        ("espresso", "espresso"),
        ("sunglasses", "sunglasses"),
        ("hour", "an hour"),
        ("iguana", "an iguana"),
        ("European car", "a European car"),
    ],
)
def test_articles_follow_the_sound(noun: str, phrase: str) -> None:
    assert with_article(noun) == phrase


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("person", "people"),
        ("sheep", "sheep"),
        ("bus", "buses"),
        ("wine glass", "wine glasses"),
        ("couch", "couches"),
        ("toothbrush", "toothbrushes"),
        ("knife", "knives"),
        ("computer mouse", "computer mice"),
        ("boy", "boys"),
        ("puppy", "puppies"),
        ("teddy bear", "teddy bears"),
    ],
)
def test_plural_is_formed(noun: str, many: str) -> None:
    assert plural(noun) == many


@pytest.mark.parametrize(
    ("count", "at_least", "phrase"),
    [
        (1, False, "a dog"),
        (1, True, "dogs"),
        (2, False, "two dogs"),
        (2, True, "at least two dogs"),
        (10, True, "at least ten dogs"),
        (11, True, "at least 11 dogs"),
    ],
)
def test_noun_is_counted(count: int, at_least: bool, phrase: str) -> None:  # noqa: FBT001
    assert counted("dog", count, is_at_least=at_least) == phrase


@pytest.mark.parametrize(
    ("phrases", "sentence"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_phrases_are_joined(phrases: list[str], sentence: str) -> None:
    assert listed(phrases) == sentence


def test_articles_and_plurals_of_all_names_are_well_formed() -> None:
    names = {*NAMES, *load_classes().names}
    assert len(names) > 1000
    for name in names:
        phrase = with_article(name)
        assert phrase in {name, f"a {name}", f"an {name}"}
        assert plural(name).strip() == plural(name) != ""
