"""Reads an error of OpenAI's protocol, in whatever shape a server words it, and says which reason it is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from vision_node_contract.models.reasons import Reason

from .retry_after import bounded, duration, retry_after

Object = dict[str, JsonValue]

_DEEP = 4
"""Levels of `error` within `error`."""

_CODE_NAMES = ("code", "type", "status", "status_code", "statusCode")

_MAX_PARTS = 32
"""Of a list of errors or details that are looked at."""

_CODES = {
    Reason.QUOTA_EXHAUSTED: {
        *(
            "insufficient_quota",
            "billing_hard_limit_reached",
            "billing_not_active",
            "budget_exceeded",
        ),
        *("insufficient_balance", "exceeded_current_quota_error", "quota_exceeded"),
    },
    Reason.MODEL_NOT_FOUND: {"model_not_found", "deploymentnotfound", "model_not_available"},
    Reason.CONTENT_REFUSED: {
        *("content_filter", "content_policy_violation", "moderation_error", "moderation_blocked"),
        *("responsibleaipolicyviolation", "data_inspection_failed", "datainspectionfailed"),
    },
    Reason.CREDENTIALS_REFUSED: {
        *("invalid_api_key", "api_key_invalid", "authentication_error", "permission_error"),
        *("unauthenticated", "permission_denied"),
    },
    Reason.RATE_LIMITED: {
        *("rate_limit_exceeded", "rate_limit_error", "too_many_requests", "resource_exhausted"),
    },
    Reason.PROVIDER_UNAVAILABLE: {
        *("server_error", "overloaded_error", "api_error", "timeout", "unavailable", "internal"),
        *("deadline_exceeded",),
    },
    Reason.REQUEST_REFUSED: {"invalid_request_error", "invalid_argument"},
}
"""Of OpenAI (platform.openai.com/docs/guides/error-codes), Azure, Google (google.rpc.Code),
DashScope."""

_SURE = (
    Reason.QUOTA_EXHAUSTED,
    Reason.MODEL_NOT_FOUND,
    Reason.CONTENT_REFUSED,
)
"""Reasons that an error's code tells better than its HTTP status."""

_SURE_WORDS = (
    (
        Reason.CREDENTIALS_REFUSED,
        re.compile(
            r"api.?key.{0,20}(?:not valid|invalid)|(?:invalid|incorrect) api.?key", re.IGNORECASE
        ),
    ),
    (
        Reason.CONTENT_REFUSED,
        re.compile(r"requires moderation|input was flagged|safety system", re.IGNORECASE),
    ),
)
"""What only the words tell: Gemini refuses a wrong key with 400, OpenRouter a flagged picture with
403."""

_WORDS = (
    (Reason.RATE_LIMITED, re.compile(r"rate.?limit|too many requests", re.IGNORECASE)),
    (
        Reason.QUOTA_EXHAUSTED,
        re.compile(r"quota|insufficient (?:credit|balance|fund)", re.IGNORECASE),
    ),
    (
        Reason.CREDENTIALS_REFUSED,
        re.compile(r"unauthori[sz]ed|no auth|authentication", re.IGNORECASE),
    ),
    (
        Reason.MODEL_NOT_FOUND,
        re.compile(r"model.{0,200}(?:not (?:found|exist)|unknown)", re.IGNORECASE),
    ),
    (Reason.CONTENT_REFUSED, re.compile(r"content (?:filter|policy|management)", re.IGNORECASE)),
)
"""What is left where neither a status nor a code is given."""

_NO_SUCH_PAGE = re.compile(
    r"^\W*(?:404\W+)?(?:the )?(?:requested )?(?:page|resource|route|url|path|endpoint)?\s*(?:was )?"
    r"not found\W*$|invalid url|method not allowed|no route|unknown (?:url|path|endpoint|request url)"
    r"|unexpected endpoint|cannot post|(?:requested )?url was not found",
    re.IGNORECASE,
)
"""How servers of this protocol say that they have nothing at a path; LM Studio does with HTTP 200."""

_ABOUT_MODEL = re.compile(r"model|deployment|engine|endpoints? found", re.IGNORECASE)
"""What a 404 speaks of that is none of an address; "endpoints" are OpenRouter's word for who has a
model."""

_SPEAKS_TLS = re.compile(
    r"HTTP request (?:was sent )?to (?:an )?HTTPS (?:port|server)", re.IGNORECASE
)
"""nginx and Go, to a request without TLS."""

_STATUSES = {
    401: Reason.CREDENTIALS_REFUSED,
    402: Reason.QUOTA_EXHAUSTED,
    403: Reason.CREDENTIALS_REFUSED,
    404: Reason.MODEL_NOT_FOUND,
    408: Reason.PROVIDER_UNAVAILABLE,
    409: Reason.PROVIDER_UNAVAILABLE,
    429: Reason.RATE_LIMITED,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What a server says of an error; nothing of it is sure to be there."""

    message: str = ""
    codes: frozenset[str] = frozenset()
    """In lower case: of `code`, `type` and `status`, and the reasons in `details`."""
    status: int | None = None
    """An HTTP status that stands in the body."""
    param: str | None = None
    """The request's field that was wrong."""
    wait: float | None = None
    """Seconds that the body asks to wait."""
    is_flagged: bool = False
    """Whether a moderation refused the picture."""

    @property
    def wants_tls(self) -> bool:
        """Whether the server was spoken to without TLS, and understands nothing else."""
        return _SPEAKS_TLS.search(self.message) is not None


def failure_in(body: JsonValue) -> Failure | None:
    """Return the error that a body holds; None if it holds none.

    Known shapes: OpenAI's `{"error": {…}}`, the same in a list (Gemini) or with text (Ollama),
    `{"object": "error", …}` (vLLM), `{"detail": …}` (FastAPI), `{"errors": […]}` (Cloudflare), and
    a bare `message`.
    """
    parts = _errors_in(body)
    messages = [words for part in reversed(parts) if (words := _message_of(part))]
    if len(parts) < 2 and not messages:
        return None

    objects = [part for part in parts if isinstance(part, dict)]
    codes = [word for part in objects for name in _CODE_NAMES if (word := _word(part.get(name)))]
    details = [one for part in objects for one in _objects(part.get("details"))]
    metadata = [one for part in objects for one in _objects([part.get("metadata")])]

    return Failure(
        message=messages[0] if messages else next(iter(codes), ""),
        codes=frozenset((*codes, *(_word(one.get("reason")) for one in details))) - {""},
        status=next((int(word) for word in codes if re.fullmatch(r"[45]\d\d", word)), None),
        param=next((str(part["param"]) for part in objects if part.get("param")), None),
        wait=_wait_in(details, metadata),
        is_flagged=any(one.keys() & {"flagged_input", "reasons"} for one in metadata),
    )


def reason_of(failure: Failure | None, status: int | None) -> Reason:
    """Return the reason of an error.

    Args:
        failure: What the body says; None if it is not of the protocol.
        status: HTTP's; None if it was 200, when the body's own counts.
    """
    found = failure or Failure()
    status = status or found.status
    if sure := _by_code(found, _SURE) or _by_words(found, _SURE_WORDS):
        return sure
    if found.is_flagged:
        return Reason.CONTENT_REFUSED
    if _is_wrong_address(failure, status):
        return Reason.OPTIONS_INVALID
    if status:
        return _by_status(status)

    return _by_code(found, tuple(_CODES)) or _by_words(found, _WORDS) or Reason.PROVIDER_UNAVAILABLE


def _is_wrong_address(failure: Failure | None, status: int | None) -> bool:
    """Return whether a web server has no such page, rather than a server of models no such model."""
    words = failure.message if failure else ""
    if failure and failure.wants_tls:
        return True
    if status in (None, 404, 405) and _NO_SUCH_PAGE.search(words):
        return True
    return status == 405 or (status == 404 and not _ABOUT_MODEL.search(words))


def _by_code(failure: Failure, among: tuple[Reason, ...]) -> Reason | None:
    return next((reason for reason in among if failure.codes & _CODES[reason]), None)


def _by_words(failure: Failure, words: tuple[tuple[Reason, re.Pattern[str]], ...]) -> Reason | None:
    return next((reason for reason, pattern in words if pattern.search(failure.message)), None)


def _by_status(status: int) -> Reason:
    if status in _STATUSES:
        return _STATUSES[status]
    return Reason.PROVIDER_UNAVAILABLE if status >= 500 else Reason.REQUEST_REFUSED


def _errors_in(body: JsonValue) -> list[JsonValue]:
    """Return what says something of an error, each within the one before it."""
    parts: list[JsonValue] = []
    for _ in range(_DEEP):
        if isinstance(body, list):
            body = body[0] if body else None
        if not body:
            break
        parts.append(body)
        names = [
            name
            for name in ("error", "errors", "detail")
            if isinstance(body, dict) and body.get(name)
        ]
        body = body[names[0]] if names and isinstance(body, dict) else None

    return parts


def _message_of(part: JsonValue) -> str:
    """Return the words of an error, with the field that FastAPI's are about."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""

    words = next(
        (word for name in ("message", "msg") if isinstance(word := part.get(name), str)), ""
    )
    field = part.get("loc")

    return f"{'.'.join(map(str, field))}: {words}" if isinstance(field, list) else words


def _wait_in(details: Sequence[Object], metadata: Sequence[Object]) -> float | None:
    """Return the seconds to wait: Google's RetryInfo, or the headers of who answered behind OpenRouter."""
    delays = [duration(str(one.get("retryDelay") or "")) for one in details]
    headers = [one for part in metadata for one in _objects([part.get("headers")])]
    texts = [{name.lower(): str(value) for name, value in one.items()} for one in headers]
    waits = (*(bounded(delay) for delay in delays if delay is not None), *map(retry_after, texts))
    return next((wait for wait in waits if wait is not None), None)


def _objects(value: JsonValue) -> list[Object]:
    return (
        [one for one in value[:_MAX_PARTS] if isinstance(one, dict)]
        if isinstance(value, list)
        else []
    )


def _word(value: JsonValue) -> str:
    """Return a code as text in lower case; "" for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
