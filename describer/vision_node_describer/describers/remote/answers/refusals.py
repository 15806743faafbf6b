"""Recognize refusals in the text of models that do not use the protocol's refusal field.

Only a few patterns are used, and they match only at the start of a short answer, because a
description that is mistaken for a refusal is lost. The opposite mistake is less serious, because
users can see that the description is a refusal.
"""

import re

from .refusal_phrases import (
    ASIDE_WITHOUT_SPACES,
    CANNOT,
    ENGLISH,
    OTHER_ORDER,
    OTHERS,
    PICTURES,
    WITHOUT_SPACES,
)

MAX_REFUSAL_CHARACTERS = 500
"""Maximum length of a refusal. A longer answer contains a description, too."""

_LANGUAGES = (ENGLISH, *OTHERS)

_PATTERNS = [pattern for language in _LANGUAGES for pattern in language.patterns()]
_REFUSAL = re.compile(
    rf"(?:{'|'.join((*_PATTERNS, *WITHOUT_SPACES, *OTHER_ORDER))})", re.IGNORECASE
)

_NO_PICTURE = re.compile(
    rf"(?:(?:{ENGLISH.sorry})[\s,;:.!–—-]+(?:but\s+)?)?"
    rf"(?:as an? [\w -]{{0,40}}?(?:ai|model|assistant)[\w -]{{0,20}}, )?"
    rf"(?:(?:{CANNOT}) (?:directly )?(?:see|view|access|open) (?:{PICTURES})"
    r"|i (?:don't|do not) (?:actually )?(?:see|have) (?:any|an|the) (?:\w+ )?"
    "(?:image|picture|photo|attachment)"
    r"|(?:there is|i see) no (?:image|picture|photo|attachment)\b)",
    re.IGNORECASE,
)
"""Answers from a model that cannot read pictures, or that did not receive the picture from its
server."""

_ASIDES = "|".join(language.aside for language in _LANGUAGES)
_ABOUT_ITSELF = re.compile(rf"\W*(?:{_ASIDES}|{ASIDE_WITHOUT_SPACES}|\Z)", re.IGNORECASE)
"""Start of a later sentence of a refusal. Such a sentence is about the assistant or its user."""

_BUT = re.compile(
    r"\b(?:but|however|aber|jedoch|mais|pero|però)\b[\s,]*|[,;]\s*(?:mas|maar|men|ale|но)\b[\s,]*"
    "|但|[:;] | [—–-] ",
    re.IGNORECASE,
)
"""Conjunctions and punctuation after which a sentence may change the subject."""

_THREE_WORDS = re.compile(r"\w+\W+\w+\W+\w|[\u3040-\u9fff\uac00-\ud7af]{4}")
"""Three words, or four characters of a language without spaces between words."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")

_STILL_DESCRIBES = re.compile(
    r"\bbut i (?:can|do) (?:tell you|see|say|describe|confirm)\b(?!.{0,60}\bif you\b).{25}"
    r"|[,、，][^,、，]{0,80}?(?:\b(?:shows?|depicts?|there (?:is|are)|zeigt|zu sehen|montre|on voit"
    r"|muestra|mostra|toont|pokazuje|visar|viser)\b|写って|图中|画面|보입니다|показан)",
    re.IGNORECASE,
)

_IS_QUOTED = re.compile(
    r"\b(?:is|are|was|were) (?:\w+ )?(?:written|printed|painted|carved)\b|\b(?:reads|says)\b"
    r"|\bsteht (?:auf|an|in|über)\b|\b(?:est|c'est) écrit\b|\bdice (?:el|la)\b"
    r"|\bstaat (?:op|in)\b|と書|写着",
    re.IGNORECASE,
)
"""Phrases that say that the picture contains the words of the refusal."""

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u2018\u02bc\u00b4\uff07`", "'"))

_QUOTED = re.compile(r"[\"'“”„«»]+(.*?)[\"'“”„«»]*\Z", re.DOTALL)
_INNER_QUOTE = re.compile(r"[\"“”«»]|'(?!\w)|(?<![\w])'")


def is_refusal(text: str) -> bool:
    """Return whether a model's answer is a refusal instead of a description."""
    text = _normalized(text)
    if len(text) > MAX_REFUSAL_CHARACTERS:
        return False

    found = _REFUSAL.match(text)
    return found is not None and not _describes(text[found.end() :])


def sees_no_picture(text: str) -> bool:
    """Return whether a model answers that it received no picture or cannot read pictures."""
    text = _normalized(text)
    return len(text) <= MAX_REFUSAL_CHARACTERS and _NO_PICTURE.match(text) is not None


def _describes(rest: str) -> bool:
    """Return whether the text after a refusal is a description.

    It may describe the picture, or say that the refusal is written in the picture.
    """
    if _IS_QUOTED.search(rest) or _STILL_DESCRIBES.search(rest):
        return True

    sentence, *further = _SENTENCE_END.split(rest)
    _, *clauses = _BUT.split(sentence)
    parts = (part for part in (*clauses, *further) if _THREE_WORDS.search(part))

    return any(not _ABOUT_ITSELF.match(part) for part in parts)


def _normalized(text: str) -> str:
    """Return text on one line with straight apostrophes and without surrounding marks.

    These marks are Markdown and quotation marks. Quotation marks around only part of the text are
    kept, because that part is quoted from the picture.
    """
    words = text[: 2 * MAX_REFUSAL_CHARACTERS].translate(_APOSTROPHES).split()
    line = " ".join(words).strip("*_#> ")
    whole = _QUOTED.fullmatch(line)
    return whole[1] if whole and not _INNER_QUOTE.search(whole[1]) else line
