"""Requests about identities, API keys and usage, each with the function that reads its response."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

from ..access_models import ApiKey, CreatedApiKey, DailyUsage, Identity, Usage
from ..models import Json
from .messages import Call, Request
from .readers import nothing, reader


def whoami() -> Call[Identity]:
    """Get who sends the request."""
    return Call(Request("GET", "/whoami"), _identity)


def create_key(
    name: str, owner: str | None, scopes: Sequence[str] | None, expires: datetime | str | None
) -> Call[CreatedApiKey]:
    """Create an API key. A second request would create another one.

    Raises:
        ValueError: The time has no time zone.
    """
    if isinstance(expires, datetime) and expires.tzinfo is None:
        raise ValueError(f"the time {expires} has no time zone")

    time = expires.isoformat() if isinstance(expires, datetime) else expires
    wanted: Json = {
        "name": name,
        "owner": owner,
        "scopes": None if scopes is None else list(scopes),
        "expires": time,
    }
    body = {name: value for name, value in wanted.items() if value is not None}
    return Call(Request("POST", "/keys", json=body, is_repeatable=False), _created_key)


def keys() -> Call[list[ApiKey]]:
    """List the API keys."""
    return Call(Request("GET", "/keys"), _keys)


def revoke_key(key_id: str) -> Call[None]:
    """Delete an API key.

    Raises:
        ValueError: The id is empty, or one or two dots.
    """
    if key_id in {"", ".", ".."}:
        raise ValueError(f"{key_id!r} is not the id of a key")

    return Call(Request("DELETE", f"/keys/{quote(key_id, safe='')}"), nothing)


def usage(owner: str | None, after: date | str | None, before: date | str | None) -> Call[Usage]:
    """Get what an owner has used."""
    wanted = {"owner": owner, "after": after, "before": before}
    params: Any = {name: str(value) for name, value in wanted.items() if value is not None}
    return Call(Request("GET", "/usage", params), _usage)


@reader
def _identity(found: Json) -> Identity:
    return Identity(
        str(found["subject"]), str(found["owner"]), _scopes(found), found.get("expires_at")
    )


@reader
def _created_key(found: Json) -> CreatedApiKey:
    return CreatedApiKey(
        id=str(found["id"]),
        name=str(found["name"]),
        owner=str(found["owner"]),
        scopes=_scopes(found),
        expires_at=found.get("expires_at"),
        key=str(found["key"]),
    )


@reader
def _keys(found: Json) -> list[ApiKey]:
    return [
        ApiKey(
            id=str(it["id"]),
            name=str(it["name"]),
            owner=str(it["owner"]),
            scopes=_scopes(it),
            expires_at=it.get("expires_at"),
            document=it,
        )
        for it in found["keys"]
    ]


@reader
def _usage(found: Json) -> Usage:
    days = tuple(
        DailyUsage(
            day=str(it["day"]),
            describer=str(it["describer"]),
            images=int(it["images"]),
            failed=int(it["failed"]),
            bytes=int(it["bytes"]),
            input_tokens=int(it["input_tokens"]),
            output_tokens=int(it["output_tokens"]),
        )
        for it in found["days"]
    )
    return Usage(
        owner=str(found["owner"]),
        days=days,
        next_before=found.get("next"),
        today=dict(found.get("today") or {}),
        document=found,
    )


def _scopes(found: Json) -> tuple[str, ...]:
    return tuple(str(it) for it in found["scopes"])
