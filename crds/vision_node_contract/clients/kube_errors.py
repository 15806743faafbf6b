"""Parse the API server's responses: objects, watch events and errors."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from ..json_types import Json

QUOTA_REFUSAL = re.compile(r" is forbidden: (exceeded quota|status unknown for quota): ")
"""Matches the messages of the admission plugin ResourceQuota. The second one occurs right after a
quota was created, before its objects have been counted. The error has no reason of its own."""


class KubeError(Exception):
    """The API server refused the request or could not be reached.

    `reason` is the reason in metav1.Status.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{reason} ({status}): {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def is_refusal(self) -> bool:
        """Whether the request certainly had no effect, because it was refused as it is.

        If it took too long, or the server was overloaded or had an error, it may have had one.
        """
        return 400 <= self.status < 500 and self.status not in (408, 429)


class NotFoundError(KubeError):
    """404: the object does not exist."""


class AlreadyExistsError(KubeError):
    """409 on create: an object with this name already exists."""


class ConflictError(KubeError):
    """409 on write: the object has changed since it was read."""


class GoneError(KubeError):
    """410: the resourceVersion is too old for a watch, so the objects must be listed again.

    `continue_token` continues an expired list at the current version; empty if there is none.
    """

    continue_token = ""


class QuotaError(KubeError):
    """403 on create: a ResourceQuota of the namespace allows no further object of this kind.

    The same request may succeed after objects have been deleted.
    """


class UnavailableError(KubeError):
    """The same request may succeed later.

    There was no response, the status was 429 or 5xx, or the server had not loaded our permissions
    yet.
    """


def parse_object(text: bytes) -> Json:
    """Return the JSON object in `text`.

    Raises:
        ValueError: `text` is not a JSON object.
    """
    # This parser takes two thirds of the time of json's, and watches parse each change.
    found = from_json(text, allow_inf_nan=False)
    if not isinstance(found, dict):
        # This is not a TypeError, because callers handle it as they handle invalid JSON.
        raise ValueError(f"not a JSON object: {str(found)[:500]}")  # noqa: TRY004
    return found


def parse_event(line: bytes) -> Json:
    """Return the watch event in `line`.

    Raises:
        KubeError: `line` is an ERROR event.
        ValueError: `line` is not a watch event.
    """
    match event := parse_object(line):
        case {"type": "ERROR", "object": {"code": int(code)} as status}:
            raise parse_error(code, status)
        case {"type": str(), "object": {"metadata": {"resourceVersion": str()}}}:
            return event

    raise ValueError(f"not a watch event: {str(event)[:500]}")


def parse_error(status: int, body: bytes | Mapping[str, Any]) -> KubeError:
    """Return the error for an HTTP status and a body, which should be a metav1.Status."""
    details = _parse_status(body)
    reason = str(details.get("reason") or status)
    message = str(details.get("message") or details)

    error = _error_class(status, reason, message)(status, reason, message)
    if isinstance(error, GoneError):
        error.continue_token = _continue_token(details)

    return error


def _error_class(status: int, reason: str, message: str) -> type[KubeError]:
    if status == 409:
        return AlreadyExistsError if reason == "AlreadyExists" else ConflictError

    # An API server that has just started may not have loaded all accounts and roles yet.
    permissions_missing = status == 401 or (status == 403 and " cannot " in message)
    if status == 429 or status >= 500 or permissions_missing:
        return UnavailableError

    if status == 403 and QUOTA_REFUSAL.search(message):
        return QuotaError

    return {404: NotFoundError, 410: GoneError}.get(status, KubeError)


def _continue_token(details: Mapping[str, Any]) -> str:
    match details:
        case {"metadata": {"continue": str(token)}}:
            return token

    return ""


def _parse_status(body: bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(body, bytes):
        return body

    try:
        parsed = json.loads(body)
    except ValueError:
        return {"message": body[:500].decode(errors="replace")}

    return parsed if isinstance(parsed, dict) else {"message": str(parsed)[:500]}
