"""Tests of what counts as a statement of a description."""

from typing import Any

import pytest
from bench.local.plurals import forms
from bench.local.statements import SUBJECTS, Statement, statements
from pydantic import JsonValue
from vision_node_contract.models.description import Description


def description(caption: str, *, alt: str = "", sentences: str = "", **facts: Any) -> Description:
    text = f"Image Description:{sentences}\n- Dimensions: 640x480 pixels\n- Camera: Dog 3000"
    parsed: dict[str, JsonValue] = facts
    return Description(description=text, alt=alt, caption=caption, facts=parsed)


def thing(name: str, count: int = 1) -> dict[str, Any]:
    return {"name": name, "count": count, "confidence": 0.8, "boxes": []}


def label(name: str, *parents: str) -> dict[str, Any]:
    return {"name": name, "confidence": 0.8, "parents": list(parents)}


def subjects(caption: str, **facts: Any) -> set[Statement]:
    found = statements(description(caption, **facts))
    return {statement for statement in found if statement.sort in SUBJECTS}


@pytest.mark.parametrize(
    ("caption", "count", "said"),
    [
        ("Photograph of two people and a dog", 2, Statement("object", "person", 2)),
        ("Photograph of 14 people and a dog", 14, Statement("object", "person", 14)),
        ("Photograph of a person", 1, Statement("object", "person", 1)),
        ("Photograph of at least three people", 3, Statement("object", "person", 3, at_least=True)),
        ("Photograph of several people", 7, Statement("object", "person", 2, at_least=True)),
        ("Photograph of people", 7, Statement("object", "person", 2, at_least=True)),
        ("Photograph, likely of a person", 1, Statement("object", "person", 1)),
    ],
)
def test_number_of_things_is_that_in_the_sentence(
    caption: str, count: int, said: Statement
) -> None:
    assert said in subjects(caption, objects=[thing("person", count), thing("dog")])


def test_narrow_name_does_not_also_say_the_broad_name_in_it() -> None:
    labels = [label("Egyptian cat", "cat", "animal")]
    assert subjects("Photograph of an Egyptian cat", labels=labels) == {
        Statement("label", "egyptian cat")
    }
    assert subjects("Photograph of a cat, likely an Egyptian cat", labels=labels) == {
        Statement("label", "cat"),
        Statement("label", "egyptian cat"),
    }


def test_facts_that_the_sentences_do_not_name_are_no_statements() -> None:
    facts = {"objects": [thing("chair")], "labels": [label("tench", "fish")]}
    assert not subjects("A dark square photograph, mostly red and black, 1411x1411 pixels", **facts)


def test_words_that_no_fact_explains_are_statements() -> None:
    assert subjects("Photograph of a castle near a river", labels=[label("castle")]) == {
        Statement("label", "castle"),
        Statement("word", "river"),
    }


def test_camera_is_no_statement() -> None:
    caption = "A bright photograph, taken with Apple iPhone 4 on 2010-10-08."
    assert not subjects(caption, camera="Apple iPhone 4")
    assert subjects(caption) == {Statement("word", "apple"), Statement("word", "iphone")}


def test_quoted_text_and_lines_of_facts_say_nothing() -> None:
    caption = "Screenshot with the text “A dog bites a “man” in the park”."
    assert not subjects(caption, objects=[thing("dog")])


def test_alt_and_sentences_of_the_description_count_once() -> None:
    found = statements(
        description(
            "Photograph of a dog.",
            alt="A dog and a cat",
            sentences="\nPhotograph of a dog on a couch.",
            objects=[thing("dog"), thing("cat"), thing("couch")],
        )
    )
    assert sorted(statement.name for statement in found) == ["cat", "couch", "dog"]


def test_kind_and_place_are_statements() -> None:
    found = statements(
        description(
            "Photograph of a dog outdoors", pictureKind="photograph", objects=[thing("dog")]
        )
    )
    assert {Statement("kind", "photograph"), Statement("outdoors", "True")} < set(found)


def test_tags_that_name_something_are_kept_apart() -> None:
    named = description("Photograph", labels=[label("castle", "building")])
    tagged = named.model_copy(update={"tags": ["castle", "dark", "square"]})
    assert statements(tagged) == [Statement("tag", "castle")]


@pytest.mark.parametrize(
    ("name", "plural"),
    [
        ("person", "people"),
        ("wine glass", "wine glasses"),
        ("bus", "buses"),
        ("berry", "berries"),
        ("boat or ship", "boats or ships"),
        ("piece of clothing", "pieces of clothing"),
        ("bird of prey", "birds of prey"),
        ("sheep", "sheep"),
    ],
)
def test_names_are_found_in_the_plural(name: str, plural: str) -> None:
    assert forms(name) == {name, plural}
