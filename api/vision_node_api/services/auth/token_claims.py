"""Look at a Kubernetes token without verifying it, to refuse what can't be valid.

Only the API server can verify a token. This spares it most requests with tokens of others, and with
forged ones.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

_SEGMENTS = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
"""A JSON Web Token with a signature (RFC 7515, section 3.1)."""

_MAX_TIME = 253_402_300_799
"""The end of the year 9999 in seconds since 1970, which is the last time that Python knows."""


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a token claims."""

    expires_at: float | None
    """When it expires, in seconds since 1970; None if it does not say."""


def read_claims(token: str, audience: str, now: float) -> TokenClaims | None:
    """Return the claims of a token; None if no API server would accept it for the audience.

    Args:
        token: The token.
        audience: The audience for which it must have been issued.
        now: The time, in seconds since 1970.
    """
    found = _SEGMENTS.fullmatch(token)
    payload = _payload(found[1]) if found else None
    if payload is None or audience not in _audiences(payload.get("aud")):
        return None

    match payload.get("exp"):
        case None:
            return TokenClaims(None)
        case bool():
            return None
        case int() | float() as expires if expires > now:
            return TokenClaims(float(min(expires, _MAX_TIME)))
        case _:
            return None


def _payload(segment: str) -> dict[str, Any] | None:
    try:
        text = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
        # This parser limits how deeply values are nested.
        found = from_json(text, allow_inf_nan=False)
    except (binascii.Error, ValueError):
        return None

    return found if isinstance(found, dict) else None


def _audiences(claim: object) -> list[object]:
    return claim if isinstance(claim, list) else [claim]
