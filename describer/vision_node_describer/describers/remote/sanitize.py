"""Makes foreign text fit for a result, a status or a log."""

import re
import unicodedata

_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Change the order in which the text around them is shown (Unicode Standard Annex 9)."""

_MAX_SAID_CHARACTERS = 300
"""Of a provider's own words in an error."""

_LIKE_A_KEY = re.compile(r"\b(?:sk-|AIza|AKIA|ASIA)[\w*.…-]{4,}|\bBearer\s+\S{16,}")
"""Providers quote a part of a key that they refuse: "sk-ab***yz"."""

_SECRET_CHARACTERS = 6
"""A shorter secret is none, and taking it out would mangle every text."""

_WORD_CHARACTERS = 30
"""Longer than words are in most languages that put gaps between them; others have none."""


def clean(text: str, most: int) -> str:
    """Return text without control, bidirectional or half characters, of at most `most` characters."""
    return shorten("".join(c for c in text[: 4 * most] if _shown(c)).strip(), most)


def shorten(text: str, most: int) -> str:
    """Return text of at most `most` characters, cut between words if there is a gap near enough."""
    if len(text) <= most:
        return text
    room = most - 1
    gap = max(text.rfind(" ", 0, most), text.rfind("\n", 0, most))
    near = gap if gap > 0 and gap >= room - _WORD_CHARACTERS else room
    return text[:near].rstrip(" \n,;:") + "…"


def one_line(text: str, most: int) -> str:
    """Return clean() text on one line."""
    return clean(" ".join(text[: 4 * most].split()), most)


def said(text: str, *secrets: str | None) -> str:
    """Return what a provider said, fit for an error: one short line without any of `secrets`."""
    for secret in secrets:
        if secret and len(secret) >= _SECRET_CHARACTERS:
            text = text.replace(secret, "[secret]")
    return one_line(_LIKE_A_KEY.sub("[secret]", text), _MAX_SAID_CHARACTERS) or "no explanation"


def _shown(character: str) -> bool:
    if character in "\n\t":
        return True
    return (
        unicodedata.category(character) not in {"Cc", "Cs", "Cn"}
        and character not in _BIDIRECTIONAL
    )
