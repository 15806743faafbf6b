"""What the API server's answers mean: objects, watch events, and errors by their kind."""

import json
from collections.abc import Mapping
from typing import Any

from vision_node_contract.json_types import Json


class KubeError(Exception):
    """The API server refused or could not be reached; `reason` is metav1.Status' word for it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{reason} ({status}): {message}")
        self.status = status
        self.reason = reason
        self.message = message


class NotFoundError(KubeError):
    """404: the object is not there (or no longer)."""


class AlreadyExistsError(KubeError):
    """409 on create: somebody has made it before."""


class ConflictError(KubeError):
    """409 on write: the object has changed since it was read."""


class GoneError(KubeError):
    """410: the resourceVersion is too old to watch from; list again."""


class UnavailableError(KubeError):
    """No answer, 429, 5xx, or rights not known (yet): the same request may succeed later."""


def object_of(text: bytes) -> Json:
    """Return the JSON object in `text`; anything else is a ValueError."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"no JSON object: {str(found)[:500]}")  # noqa: TRY004 (as for text that is no JSON)
    return found


def event_of(line: bytes) -> Json:
    """Return the watch event in `line`; raise what an ERROR stands for, and ValueError if it is none."""
    match event := object_of(line):
        case {"type": "ERROR", "object": {"code": int(code)} as status}:
            raise error_of(code, status)
        case {"type": str(), "object": {"metadata": {"resourceVersion": str()}}}:
            return event
    raise ValueError(f"no watch event: {str(event)[:500]}")


def error_of(status: int, body: bytes | Mapping[str, Any]) -> KubeError:
    """Return the error that an answer's status and metav1.Status body stand for."""
    details = _status_of(body)
    reason = str(details.get("reason") or status)
    message = str(details.get("message") or details)
    return _error_class(status, reason, message)(status, reason, message)


def _error_class(status: int, reason: str, message: str) -> type[KubeError]:
    if status == 409:
        return AlreadyExistsError if reason == "AlreadyExists" else ConflictError
    # An API server that has just started knows neither accounts nor roles for a moment.
    forgetful = status == 401 or (status == 403 and " cannot " in message)
    if status == 429 or status >= 500 or forgetful:
        return UnavailableError
    return {404: NotFoundError, 410: GoneError}.get(status, KubeError)


def _status_of(body: bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(body, bytes):
        return body
    try:
        parsed = json.loads(body)
    except ValueError:
        return {"message": body[:500].decode(errors="replace")}
    return parsed if isinstance(parsed, dict) else {"message": str(parsed)[:500]}
