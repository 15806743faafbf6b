"""Find what a request presents to say who sent it."""

import re
from collections.abc import Iterable
from enum import StrEnum

from starlette.types import Scope

MAX_TOKEN_BYTES = 8 << 10
"""Maximum length of a key or token in bytes. Tokens of Kubernetes have about 1 kB; those of other
identity providers, which list groups, a few."""

_BEARER = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
"""Credentials of RFC 6750, section 2.1. Names of schemes are case-insensitive (RFC 9110, section
11.1)."""


class Refusal(StrEnum):
    """Why a request is refused that does not say who sent it. Only metrics tell, not responses."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    WRONG_KEY = "wrong_key"
    """There is a key with this id, but its text is another."""
    EXPIRED_KEY = "expired_key"
    TOKEN = "token"  # noqa: S105 (a label)
    SESSION = "session"


def authorization_of(scope: Scope) -> str | Refusal:
    """Return the key or token in the header Authorization.

    A request with several such headers is malformed: proxies and servers may disagree on which one
    counts. Keys in the query are never read, because URLs end up in logs and histories.
    """
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        return Refusal.MISSING

    if len(values) > 1 or len(values[0]) > MAX_TOKEN_BYTES:
        return Refusal.MALFORMED

    # The parser leaves whitespace around a value, which is not part of it (RFC 9110, section 5.5).
    found = _BEARER.fullmatch(values[0].strip(b" \t"))
    return found[1].decode("ascii") if found else Refusal.MALFORMED
