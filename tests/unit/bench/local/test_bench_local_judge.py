"""Tests of the judgment: right answers pass, and wrong ones do not."""

import pytest
from bench.local.judge import NEVER, Judged, Share, Verdict, judge, score, worst
from bench.local.statements import Statement
from bench.local.truth import Group, Sample, Truth

BROADER = {
    "cat": frozenset({"animal"}),
    "tabby cat": frozenset({"cat", "animal"}),
    "dog": frozenset({"animal"}),
}
CAT = Truth(must=frozenset({"cat"}), may=frozenset({"tabby cat", "couch"}), outdoors=False)
PEOPLE = Truth(
    must=frozenset({"person"}), may=frozenset({"chair"}), counts={"person": (3, 3), "chair": (2, 5)}
)
CHART = Truth(kinds=frozenset({"chart"}), may=frozenset({"legend"}))


@pytest.mark.parametrize(
    ("truth", "statement", "verdict"),
    [
        (CAT, Statement("label", "cat"), Verdict.SPECIFIC),
        (CAT, Statement("object", "cat", 1), Verdict.SPECIFIC),
        (CAT, Statement("label", "Tabby cat"), Verdict.RIGHT),
        (CAT, Statement("label", "animal"), Verdict.RIGHT),
        (CAT, Statement("label", "dog"), Verdict.WRONG),
        (CAT, Statement("label", "Siamese cat"), Verdict.WRONG),
        (CAT, Statement("object", "cat", 2), Verdict.WRONG),
        (CAT, Statement("object", "cat", 2, at_least=True), Verdict.WRONG),
        (PEOPLE, Statement("object", "person", 3), Verdict.SPECIFIC),
        (PEOPLE, Statement("object", "person", 2), Verdict.WRONG),
        (PEOPLE, Statement("object", "person", 4), Verdict.WRONG),
        (PEOPLE, Statement("object", "person", 2, at_least=True), Verdict.SPECIFIC),
        (PEOPLE, Statement("object", "person", 4, at_least=True), Verdict.WRONG),
        (PEOPLE, Statement("object", "chair", 4), Verdict.RIGHT),
        (PEOPLE, Statement("object", "chair", 1), Verdict.WRONG),
        (PEOPLE, Statement("face", "face", 3), Verdict.RIGHT),
        (PEOPLE, Statement("face", "face", 4), Verdict.WRONG),
        (CAT, Statement("face", "face", 1), Verdict.WRONG),
        (CAT, Statement("kind", "photograph"), Verdict.RIGHT),
        (CAT, Statement("kind", "chart"), Verdict.WRONG),
        (CHART, Statement("kind", "photograph"), Verdict.WRONG),
        (CAT, Statement("outdoors", "True"), Verdict.WRONG),
        (CAT, Statement("outdoors", "False"), Verdict.RIGHT),
        (PEOPLE, Statement("outdoors", "True"), Verdict.RIGHT),
        (CAT, Statement("word", "couches"), Verdict.WRONG),
        (CAT, Statement("word", "couch"), Verdict.RIGHT),
        (CAT, Statement("word", "cats"), Verdict.RIGHT),
        (CAT, Statement("word", "river"), Verdict.WRONG),
        (CHART, Statement("label", "website"), Verdict.WRONG),
        (CHART, Statement("tag", "website"), Verdict.WRONG),
    ],
)
def test_verdict(truth: Truth, statement: Statement, verdict: Verdict) -> None:
    assert judge(statement, truth, BROADER) is verdict


def test_generic_names_are_never_specific() -> None:
    truth = Truth(must=frozenset({"vehicle", "car"}))
    assert judge(Statement("label", "vehicle"), truth, {}) is Verdict.RIGHT
    assert judge(Statement("label", "car"), truth, {}) is Verdict.SPECIFIC


@pytest.mark.parametrize("word", sorted(NEVER))
def test_words_about_identity_age_and_emotion_are_wrong_even_if_accepted(word: str) -> None:
    truth = Truth(must=frozenset({word}))
    assert judge(Statement("label", word), truth, {}) is Verdict.WRONG
    assert judge(Statement("word", word), truth, {}) is Verdict.WRONG


def judged(name: str, group: Group, truth: Truth, *said: Statement) -> Judged:
    sample = Sample(name, group, truth, bytes)
    return Judged(sample, "", {one: judge(one, truth, BROADER) for one in said})


ALL_RIGHT = [
    judged(
        "a cat", Group.PHOTOGRAPH, CAT, Statement("kind", "photograph"), Statement("label", "cat")
    ),
    judged("a tiny cat", Group.ALTERED, CAT, Statement("label", "cat"), Statement("tag", "cat")),
    judged("a chart", Group.OTHER, CHART, Statement("kind", "chart")),
]


def test_scores_of_right_statements() -> None:
    found = score(ALL_RIGHT)
    assert found.wrong == Share(0, 4)
    assert found.wrong_subjects == Share(0, 2)
    assert found.wrong_tags == Share(0, 1)
    assert found.covered == found.covered_altered == Share(1, 1)
    assert found.invented == Share(0, 1)
    assert found.kinds == Share(2, 2)
    assert found.silent == Share(0, 1)


def test_scores_of_wrong_statements() -> None:
    found = score(
        [
            *ALL_RIGHT,
            judged(
                "two", Group.PHOTOGRAPH, CAT, Statement("label", "dog"), Statement("tag", "dog")
            ),
            judged("three", Group.PHOTOGRAPH, CAT, Statement("label", "animal")),
            judged("four", Group.PHOTOGRAPH, CAT),
            judged("five", Group.OTHER, CHART, Statement("object", "car", 1)),
            judged("six", Group.OTHER, CHART, Statement("kind", "photograph")),
        ]
    )
    assert found.wrong == Share(3, 8)
    assert found.wrong_subjects == Share(2, 5)
    assert found.wrong_tags == Share(1, 2)
    assert found.covered == Share(1, 4)
    assert found.invented == Share(1, 3)
    assert found.kinds == Share(2, 3)
    assert found.silent == Share(1, 4)


def test_worst_pictures_have_the_most_wrong_statements() -> None:
    wrong = judged("wrong", Group.OTHER, CHART, Statement("label", "dog"))
    worse = judged(
        "worse", Group.PHOTOGRAPH, CAT, Statement("label", "dog"), Statement("kind", "chart")
    )
    missed = judged("missed", Group.PHOTOGRAPH, CAT)
    found = worst([*ALL_RIGHT, missed, wrong, worse], 10)
    assert [one.sample.name for one in found] == ["worse", "wrong", "missed"]
    assert worst([*ALL_RIGHT, missed, wrong, worse], 1) == [worse]
