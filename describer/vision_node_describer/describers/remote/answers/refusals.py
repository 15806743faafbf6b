"""Recognizes a model that refuses in words where its protocol has a field for that.

Few patterns, and only at the start of a short answer: a true description that is taken for a
refusal is lost, a refusal that is taken for a description can be read by a person.
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

MAX_CHARACTERS = 500
"""Of a refusal. Longer answers describe something after all."""

_LANGUAGES = (ENGLISH, *OTHERS)

_PATTERNS = [pattern for language in _LANGUAGES for pattern in language.patterns()]
_REFUSES = re.compile(
    rf"(?:{'|'.join((*_PATTERNS, *WITHOUT_SPACES, *OTHER_ORDER))})", re.IGNORECASE
)

_SEES_NOTHING = re.compile(
    rf"(?:(?:{ENGLISH.sorry})[\s,;:.!–—-]+(?:but\s+)?)?"
    rf"(?:as an? [\w -]{{0,40}}?(?:ai|model|assistant)[\w -]{{0,20}}, )?"
    rf"(?:(?:{CANNOT}) (?:directly )?(?:see|view|access|open) (?:{PICTURES})"
    r"|i (?:don't|do not) (?:actually )?(?:see|have) (?:any|an|the) (?:\w+ )?"
    "(?:image|picture|photo|attachment)"
    r"|(?:there is|i see) no (?:image|picture|photo|attachment)\b)",
    re.IGNORECASE,
)
"""What a model without eyes answers, or one whose server has dropped the picture."""

_ASIDES = "|".join(language.aside for language in _LANGUAGES)
_ABOUT_ITSELF = re.compile(rf"\W*(?:{_ASIDES}|{ASIDE_WITHOUT_SPACES}|\Z)", re.IGNORECASE)
"""How a further sentence of a refusal begins: about the assistant or its user, not about a picture."""

_BUT = re.compile(
    r"\b(?:but|however|aber|jedoch|mais|pero|però)\b[\s,]*|[,;]\s*(?:mas|maar|men|ale|но)\b[\s,]*"
    "|但|[:;] | [—–-] ",
    re.IGNORECASE,
)
"""Where the sentence itself goes on to something else."""

_SOME_WORDS = re.compile(r"\w+\W+\w+\W+\w|[\u3040-\u9fff\uac00-\ud7af]{4}")
"""Three, or four characters of a language that puts no spaces between them."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")

_STILL_DESCRIBES = re.compile(
    r"\bbut i (?:can|do) (?:tell you|see|say|describe|confirm)\b(?!.{0,60}\bif you\b).{25}"
    r"|[,、，][^,、，]{0,80}?(?:\b(?:shows?|depicts?|there (?:is|are)|zeigt|zu sehen|montre|on voit|muestra"
    r"|mostra|toont|pokazuje|visar|viser)\b|写って|图中|画面|보입니다|показан)",
    re.IGNORECASE,
)

_IS_QUOTED = re.compile(
    r"\b(?:is|are|was|were) (?:\w+ )?(?:written|printed|painted|carved)\b|\b(?:reads|says)\b"
    r"|\bsteht (?:auf|an|in|über)\b|\b(?:est|c'est) écrit\b|\bdice (?:el|la)\b|\bstaat (?:op|in)\b|と書|写着",
    re.IGNORECASE,
)
"""The words of a refusal may be what stands in the picture."""

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u2018\u02bc\u00b4\uff07`", "'"))

_QUOTED = re.compile(r"[\"'“”„«»]+(.*?)[\"'“”„«»]*\Z", re.DOTALL)
_INNER_QUOTE = re.compile(r"[\"“”«»]|'(?!\w)|(?<![\w])'")


def is_refusal(text: str) -> bool:
    """Return whether a model's answer is an apology in place of a description."""
    text = _normalized(text)
    if len(text) > MAX_CHARACTERS:
        return False
    found = _REFUSES.match(text)
    return found is not None and not _describes(text[found.end() :])


def sees_no_picture(text: str) -> bool:
    """Return whether a model answers that it got no picture, or reads none."""
    text = _normalized(text)
    return len(text) <= MAX_CHARACTERS and _SEES_NOTHING.match(text) is not None


def _describes(rest: str) -> bool:
    """Return whether what follows an apology is about a picture, or says where the apology stands."""
    if _IS_QUOTED.search(rest) or _STILL_DESCRIBES.search(rest):
        return True
    sentence, *further = _SENTENCE_END.split(rest)
    _, *clauses = _BUT.split(sentence)
    parts = (part for part in (*clauses, *further) if _SOME_WORDS.search(part))
    return any(not _ABOUT_ITSELF.match(part) for part in parts)


def _normalized(text: str) -> str:
    """Return text on one line with straight apostrophes, without marks of Markdown or quotation around it.

    Words in quotation marks that others follow are left as they are: they stand in the picture.
    """
    line = " ".join(text[: 2 * MAX_CHARACTERS].translate(_APOSTROPHES).split()).strip("*_#> ")
    whole = _QUOTED.fullmatch(line)
    return whole[1] if whole and not _INNER_QUOTE.search(whole[1]) else line
