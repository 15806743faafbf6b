"""Invent words that are about as frequent as those of a language: the n-th has 1/n of the first."""

import random
from collections.abc import Callable
from itertools import accumulate

WORDS = 30_000
"""Number of words. A person who writes descriptions uses about as many."""

PLANTED = "qandlewick"
"""A word of five rows only. It begins with a letter that no other word has."""

ABSENT = "xylophonist"
"""A word that no row has."""

_SYLLABLES = [f"{first}{second}" for first in "bdfgklmnprstvz" for second in "aeiou"]


def _invent() -> list[str]:
    chance = random.Random(17)  # noqa: S311 (not a secret)
    found: dict[str, None] = {}
    while len(found) < WORDS:
        found["".join(chance.choices(_SYLLABLES, k=chance.choice((2, 3, 3, 4))))] = None
    return list(found)


BY_RANK = _invent()
"""The words, beginning with the most frequent one."""

_WEIGHTS = list(accumulate(1 / rank for rank in range(1, WORDS + 1)))


def text(chance: random.Random, words: int) -> str:
    """Return a text of this many words."""
    return " ".join(chance.choices(BY_RANK, cum_weights=_WEIGHTS, k=words))


COMMON = 20
"""The most frequent words: each is in between 1 % and 90 % of the images."""

UNCOMMON = range(2_000, 4_000)
"""Ranks of words that are in about one of a thousand images."""

RARE = range(WORDS - 3_000, WORDS)
"""Ranks of words that are in about a hundred of a million images."""


def _common(chance: random.Random) -> str:
    return BY_RANK[chance.randrange(COMMON)]


def _uncommon(chance: random.Random) -> str:
    return BY_RANK[chance.choice(UNCOMMON)]


def _rare(chance: random.Random) -> str:
    return BY_RANK[chance.choice(RARE)]


def _beginning(chance: random.Random) -> str:
    return _rare(chance)[: chance.choice((2, 3))]


SEARCHES: dict[str, Callable[[random.Random], str]] = {
    "a rare word": _rare,
    "a word of five images": lambda _: PLANTED,
    "an absent word": lambda chance: f"{ABSENT}{chance.randrange(1000)}",
    "an uncommon word": _uncommon,
    "a common word": _common,
    "two common words": lambda chance: f"{_common(chance)} {_common(chance)}",
    "a common and a rare word": lambda chance: f"{_common(chance)} {_rare(chance)}",
    "two uncommon words": lambda chance: f"{_uncommon(chance)} {_uncommon(chance)}",
    "the first 2 or 3 letters of many words": _beginning,
}
"""Makes a text to search for, by title."""


def texts(title: str, count: int) -> list[str]:
    """Return the texts to search for, which are the same in every run."""
    chance = random.Random(title)  # noqa: S311 (not a secret)
    return [SEARCHES[title](chance) for _ in range(count)]
