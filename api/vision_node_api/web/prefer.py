"""Read the preference `wait` from Prefer headers (RFC 7240)."""

import re
from collections.abc import Iterable, Iterator

MAX_WAIT_SECONDS = 60
"""Maximum number of seconds to wait. Many proxies cut requests without a response after 60 s."""

_PREFERENCE_TEXT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))++', re.DOTALL)
"""What is between two commas, of which those in a quoted string are part of it. An unterminated
string extends to the end. Nothing is matched twice, so that no header takes long."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PREFERENCE = re.compile(
    rf'[ \t]*({_WORD})(?:[ \t]*=[ \t]*({_WORD}|"(?:[^"\\]|\\.)*+")?)?[ \t]*(?:;.*)?', re.DOTALL
)
"""A preference with its value. The parameters after it are not read: `wait` has none."""

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

_SECONDS = re.compile(r"[0-9]+", re.ASCII)


def wait_seconds(headers: Iterable[str]) -> int | None:
    """Return how long the client prefers to wait for an outcome, at most MAX_WAIT_SECONDS.

    Return None if it states no such preference, or an invalid one. If it states several, the first
    one counts.

    Args:
        headers: The values of all Prefer headers of the request, in their order.
    """
    for header in headers:
        for name, value in _preferences(header):
            if name == "wait":
                return _seconds(value)

    return None


def _preferences(header: str) -> Iterator[tuple[str, str]]:
    """Yield the names in lowercase and the unquoted values. Invalid preferences are left out."""
    for text in _PREFERENCE_TEXT.findall(header):
        if found := _PREFERENCE.fullmatch(text):
            value = found[2] or ""
            is_quoted = value.startswith('"')
            yield found[1].lower(), _ESCAPED.sub(r"\1", value[1:-1]) if is_quoted else value


def _seconds(value: str) -> int | None:
    if not _SECONDS.fullmatch(value):
        return None

    # Python refuses to convert thousands of digits.
    digits = value.lstrip("0")[:3]
    return min(int(digits or "0"), MAX_WAIT_SECONDS)
