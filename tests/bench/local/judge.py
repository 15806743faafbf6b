"""Decide whether statements about a picture are right, and calculate the scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bench.local.statements import SUBJECTS, Statement
from bench.local.truth import GENERIC, Group, Sample, Truth

Broader = Mapping[str, frozenset[str]]
"""All broader names of each name. All names are in lower case."""

_NEVER_WORDS = """
man woman men women boy girl boys girls child children baby lady guy male female young old adult
elderly teenager happy sad angry smiling surprised afraid asian african caucasian hispanic
latino beautiful handsome attractive ugly
"""
NEVER = frozenset(_NEVER_WORDS.split())
"""Words about people that are never right: identity, age, sex, emotion, ethnicity and looks."""


class Verdict(StrEnum):
    """How right a statement is."""

    SPECIFIC = "right and specific"
    RIGHT = "right"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Judged:
    """A picture, its description, and the verdicts on its statements."""

    sample: Sample
    said: str
    """The caption."""
    verdicts: Mapping[Statement, Verdict]
    seconds: float = 0.0

    @property
    def wrong(self) -> list[Statement]:
        """The wrong statements, without tags."""
        return [
            statement
            for statement, verdict in self.verdicts.items()
            if verdict is Verdict.WRONG and statement.sort != "tag"
        ]

    @property
    def is_covered(self) -> bool:
        """Whether the description contains a right and specific statement."""
        return any(
            verdict is Verdict.SPECIFIC and statement.sort in SUBJECTS
            for statement, verdict in self.verdicts.items()
        )

    @property
    def invented(self) -> bool:
        """Whether the description names something that is not in the picture."""
        return any(statement.sort in SUBJECTS for statement in self.wrong)


def judge(statement: Statement, truth: Truth, broader: Broader) -> Verdict:
    """Return the verdict on a statement."""
    name = statement.name.casefold()
    match statement.sort:
        case "kind":
            return _right(name in truth.kinds)
        case "outdoors":
            return _right(truth.outdoors is None or str(truth.outdoors) == statement.name)
        case "face":
            return _right(_is_face_count_right(statement, truth))
        case "word":
            return _judge_word(name, truth)
        case _:
            verdict = _judge_name(name, truth, broader)
            return verdict if _is_count_right(statement, truth) else Verdict.WRONG


def _right(right: bool) -> Verdict:  # noqa: FBT001
    return Verdict.RIGHT if right else Verdict.WRONG


def _judge_name(name: str, truth: Truth, broader: Broader) -> Verdict:
    if name in NEVER:
        return Verdict.WRONG

    if name in _lower(truth.must) - GENERIC:
        return Verdict.SPECIFIC

    accepted = _lower(truth.names)
    return _right(name in accepted or any(name in broader.get(item, ()) for item in accepted))


def _judge_word(word: str, truth: Truth) -> Verdict:
    """Judge a word that no fact explains. It may be part of a name ("ball" in "ball of yarn")."""
    words = {part for name in _lower(truth.names) for part in name.split()}
    known = word in words or word.removesuffix("s") in words
    return _right(known and word not in NEVER)


def _is_count_right(statement: Statement, truth: Truth) -> bool:
    if statement.count is None:
        return True
    least, most = truth.count(statement.name)
    return statement.count <= most and (statement.at_least or statement.count >= least)


def _is_face_count_right(statement: Statement, truth: Truth) -> bool:
    """Return whether the number of faces is right. There may be at most one per person."""
    if "person" not in truth.names or statement.count is None:
        return "face" in truth.names
    return statement.count <= truth.count("person")[1]


def _lower(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name.casefold() for name in names)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, both as counts."""

    part: int
    whole: int

    @property
    def percent(self) -> float:
        """The share in percent; 0 if the whole is 0."""
        return 100 * self.part / self.whole if self.whole else 0.0


@dataclass(frozen=True, slots=True)
class Score:
    """The scores of a set of pictures."""

    wrong: Share
    """Wrong statements among all statements (subjects, kinds and outdoors)."""
    wrong_subjects: Share
    """Wrong statements among those that name a subject."""
    wrong_tags: Share
    covered: Share
    """Photographs with a right and specific statement."""
    covered_altered: Share
    invented: Share
    """Other pictures whose description names something that is not in them."""
    kinds: Share
    """Right statements among those about the kind of picture."""
    silent: Share = field(default=Share(0, 0))
    """Photographs whose description names nothing."""


def score(judged: Sequence[Judged]) -> Score:
    """Return the scores of a set of pictures."""
    pairs = [pair for one in judged for pair in one.verdicts.items()]
    groups = {group: [one for one in judged if one.sample.group is group] for group in Group}
    photographs = groups[Group.PHOTOGRAPH]
    kinds = [verdict for statement, verdict in pairs if statement.sort == "kind"]

    return Score(
        wrong=_wrong(pairs, lambda statement: statement.sort != "tag"),
        wrong_subjects=_wrong(pairs, lambda statement: statement.sort in SUBJECTS),
        wrong_tags=_wrong(pairs, lambda statement: statement.sort == "tag"),
        covered=_share(photographs, lambda one: one.is_covered),
        covered_altered=_share(groups[Group.ALTERED], lambda one: one.is_covered),
        invented=_share(groups[Group.OTHER], lambda one: one.invented),
        kinds=Share(sum(verdict is Verdict.RIGHT for verdict in kinds), len(kinds)),
        silent=_share(photographs, lambda one: not _subjects(one)),
    )


def _subjects(one: Judged) -> list[Statement]:
    return [statement for statement in one.verdicts if statement.sort in SUBJECTS]


def _wrong(
    pairs: Sequence[tuple[Statement, Verdict]], counts: Callable[[Statement], bool]
) -> Share:
    verdicts = [verdict for statement, verdict in pairs if counts(statement)]
    return Share(sum(verdict is Verdict.WRONG for verdict in verdicts), len(verdicts))


def _share(judged: Sequence[Judged], holds: Callable[[Judged], bool]) -> Share:
    return Share(sum(map(holds, judged)), len(judged))


def worst(judged: Sequence[Judged], number: int) -> list[Judged]:
    """Return the pictures with the most wrong statements, then photographs with nothing right."""

    def badness(one: Judged) -> tuple[int, bool]:
        missed = one.sample.group is Group.PHOTOGRAPH and not one.is_covered
        return len(one.wrong), missed

    bad = [one for one in judged if any(badness(one))]
    return sorted(bad, key=badness, reverse=True)[:number]
