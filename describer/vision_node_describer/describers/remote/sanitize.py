"""Make untrusted text safe to include in a result, a status or a log."""

import re
import unicodedata

_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the order in which adjacent text is shown (Unicode Annex 9)."""

_MAX_QUOTE_CHARACTERS = 300
"""Maximum length of a quotation from a provider in an error message."""

_LIKE_A_KEY = re.compile(r"\b(?:sk-|AIza|AKIA|ASIA)[\w*.…-]{4,}|\bBearer\s+\S{16,}")
"""Keys and parts of keys, such as "sk-ab***yz". Providers quote them when they reject a key."""

_MIN_SECRET_CHARACTERS = 6
"""Minimum length of a secret that is removed. Shorter values are not secrets, and removing them
would damage ordinary text."""

_MAX_WORD_CHARACTERS = 30
"""Maximum distance from a text's limit to the space at which the text is cut. In languages that
separate words with spaces, most words are shorter than this."""


def clean(text: str, max_characters: int) -> str:
    """Return text of at most `max_characters`, without control and other unsafe characters."""
    allowed = "".join(c for c in text[: 4 * max_characters] if _is_allowed(c))
    return shorten(allowed.strip(), max_characters)


def shorten(text: str, max_characters: int) -> str:
    """Return text of at most `max_characters`, cut between words if a space is near the limit."""
    if len(text) <= max_characters:
        return text

    limit = max_characters - 1
    gap = max(text.rfind(" ", 0, max_characters), text.rfind("\n", 0, max_characters))
    end = gap if gap > 0 and gap >= limit - _MAX_WORD_CHARACTERS else limit

    return text[:end].rstrip(" \n,;:") + "…"


def one_line(text: str, max_characters: int) -> str:
    """Return the text on one line, cleaned and shortened as by `clean`."""
    return clean(" ".join(text[: 4 * max_characters].split()), max_characters)


def quote_provider(text: str, *secrets: str | None) -> str:
    """Return a provider's text for a message, as one short line without `secrets`."""
    for secret in secrets:
        if secret and len(secret) >= _MIN_SECRET_CHARACTERS:
            text = text.replace(secret, "[secret]")

    return one_line(_LIKE_A_KEY.sub("[secret]", text), _MAX_QUOTE_CHARACTERS) or "no explanation"


def _is_allowed(character: str) -> bool:
    if character in "\n\t":
        return True
    return (
        unicodedata.category(character) not in {"Cc", "Cs", "Cn"}
        and character not in _BIDIRECTIONAL
    )
