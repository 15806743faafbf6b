"""Parse the errors of servers that use OpenAI's protocol; their formats vary."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from .retry_after import clamp_wait, parse_duration, retry_after

JsonObject = dict[str, JsonValue]

_MAX_NESTING = 4
"""Maximum number of nested levels of `error`."""

_MAX_ENTRIES = 32
"""Maximum number of entries that are read from a list of errors or details."""

_NESTED_NAMES = ("error", "errors", "detail")

_CODE_NAMES = ("code", "type", "status", "status_code", "statusCode")

_REQUIRES_TLS = re.compile(
    r"HTTP request (?:was sent )?to (?:an )?HTTPS (?:port|server)", re.IGNORECASE
)
"""Error messages that nginx and Go send in response to a request without TLS."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An error that a server reports; every field may be missing."""

    message: str = ""
    codes: frozenset[str] = frozenset()
    """Values of `code`, `type` and `status`, and the reasons in `details`, in lower case."""
    status: int | None = None
    """HTTP status given in the body."""
    param: str | None = None
    """The invalid field of the request."""
    retry_after: float | None = None
    """Seconds to wait before the next request, according to the body."""
    is_flagged: bool = False
    """Whether a moderation service rejected the picture."""

    @property
    def requires_tls(self) -> bool:
        """Whether the request was sent without TLS to a server that accepts only TLS."""
        return _REQUIRES_TLS.search(self.message) is not None


def parse_error_body(body: JsonValue) -> ErrorBody | None:
    """Return the error in a body; None if it contains none.

    Known formats are `{"error": {…}}` (OpenAI), a list of such objects (Gemini),
    `{"error": "text"}` (Ollama), `{"object": "error", …}` (vLLM), `{"detail": …}` (FastAPI),
    `{"errors": […]}` (Cloudflare), and an object with a `message`.
    """
    parts = _nested_errors(body)
    messages = [text for part in reversed(parts) if (text := _message_of(part))]
    if len(parts) < 2 and not messages:
        return None

    objects = [part for part in parts if isinstance(part, dict)]
    codes = [code for part in objects for name in _CODE_NAMES if (code := _code(part.get(name)))]
    details = [entry for part in objects for entry in _objects_in(part.get("details"))]
    metadata = [entry for part in objects for entry in _objects_in([part.get("metadata")])]

    return ErrorBody(
        message=messages[0] if messages else next(iter(codes), ""),
        codes=frozenset((*codes, *(_code(entry.get("reason")) for entry in details))) - {""},
        status=next((int(code) for code in codes if re.fullmatch(r"[45]\d\d", code)), None),
        param=next((str(part["param"]) for part in objects if part.get("param")), None),
        retry_after=_retry_after_in(details, metadata),
        is_flagged=any(entry.keys() & {"flagged_input", "reasons"} for entry in metadata),
    )


def _nested_errors(body: JsonValue) -> list[JsonValue]:
    """Return the body and the errors nested in it, starting with the body."""
    parts: list[JsonValue] = []
    for _ in range(_MAX_NESTING):
        if isinstance(body, list):
            body = body[0] if body else None
        if not body:
            break

        parts.append(body)
        body = _first_value(body, _NESTED_NAMES) if isinstance(body, dict) else None

    return parts


def _first_value(part: JsonObject, names: Sequence[str]) -> JsonValue:
    return next((value for name in names if (value := part.get(name))), None)


def _message_of(part: JsonValue) -> str:
    """Return an error's message, preceded by the name of a field if FastAPI reports one."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""

    message = next(
        (text for name in ("message", "msg") if isinstance(text := part.get(name), str)), ""
    )
    field = part.get("loc")

    return f"{'.'.join(map(str, field))}: {message}" if isinstance(field, list) else message


def _retry_after_in(details: Sequence[JsonObject], metadata: Sequence[JsonObject]) -> float | None:
    """Return the seconds to wait according to Google's RetryInfo or OpenRouter's metadata.

    OpenRouter's metadata contains the headers of the provider to which it forwarded the request.
    """
    delays = [parse_duration(str(entry.get("retryDelay") or "")) for entry in details]
    headers = [entry for part in metadata for entry in _objects_in([part.get("headers")])]
    lower_headers = [
        {name.lower(): str(value) for name, value in entry.items()} for entry in headers
    ]

    waits = [clamp_wait(delay) for delay in delays if delay is not None]
    waits += [wait for entry in lower_headers if (wait := retry_after(entry)) is not None]

    return next(iter(waits), None)


def _objects_in(value: JsonValue) -> list[JsonObject]:
    if not isinstance(value, list):
        return []
    return [entry for entry in value[:_MAX_ENTRIES] if isinstance(entry, dict)]


def _code(value: JsonValue) -> str:
    """Return a code as text in lower case; "" if the value is not a code."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
