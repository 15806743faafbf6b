"""Nouns in English: articles, plurals and numbers."""

from collections.abc import Sequence

_IRREGULAR_PLURALS = {
    "person": "people",
    "sheep": "sheep",
    "knife": "knives",
    "computer mouse": "computer mice",
    "skis": "skis",
    "scissors": "scissors",
    "toothbrush": "toothbrushes",
    "fish": "fish",
    "broccoli": "broccoli",
}

_ES_ENDINGS = ("s", "x", "ch", "sh")

_WITHOUT_ARTICLE = frozenset(
    {
        *("binoculars", "brain coral", "broccoli", "buckeye nuts", "cattle", "cauliflower"),
        *("chain mail", "chocolate sauce", "coffee", "consommé", "coral fungus", "corn"),
        *("dough", "eggnog", "espresso", "food", "guacamole", "hair spray", "hay", "ice cream"),
        *("jeans", "lipstick", "lotion", "mashed potatoes", "mountains", "pajamas"),
        *("parallel bars", "pasta carbonara", "red wine", "rose hips", "scissors", "skis"),
        *("standing stones", "sunglasses", "sunscreen", "swim trunks", "toilet paper", "wine"),
        *("acorn squash", "butternut squash", "spaghetti squash"),
    }
)
"""Nouns that are plural or that cannot be counted."""

_VOWEL_LETTERS = "aeiou"
_VOWEL_SOUNDS = ("hour",)
_CONSONANT_SOUNDS = ("uni", "eu", "one")
"""Beginnings whose sound does not match their first letter, as in "an hourglass" and "a
unicycle"."""

_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def with_article(noun: str) -> str:
    """Return a noun with "a" or "an", or unchanged if it is plural or cannot be counted."""
    if noun in _WITHOUT_ARTICLE:
        return noun

    start = noun.lower()
    is_vowel = start[0] in _VOWEL_LETTERS or start.startswith(_VOWEL_SOUNDS)
    return f"an {noun}" if is_vowel and not start.startswith(_CONSONANT_SOUNDS) else f"a {noun}"


def plural(noun: str) -> str:
    """Return the plural of a noun."""
    if noun in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[noun]
    if noun.endswith("y") and noun[-2] not in _VOWEL_LETTERS:
        return f"{noun[:-1]}ies"

    return f"{noun}es" if noun.endswith(_ES_ENDINGS) else f"{noun}s"


def number(count: int) -> str:
    """Return a number from two to ten in words, and a larger one in digits."""
    return _NUMBERS[count - 2] if 2 <= count <= 10 else str(count)


def counted(noun: str, count: int, *, is_at_least: bool) -> str:
    """Return a noun with its number, such as "a cat", "two cats" or "at least three cats".

    The phrase for at least one is the plural without a number, such as "cats".
    """
    if count == 1:
        return plural(noun) if is_at_least else with_article(noun)

    amount = f"{number(count)} {plural(noun)}"
    return f"at least {amount}" if is_at_least else amount


def listed(phrases: Sequence[str]) -> str:
    """Return phrases joined by commas and "and"."""
    if len(phrases) < 2:
        return "".join(phrases)

    return f"{', '.join(phrases[:-1])} and {phrases[-1]}"
