"""What the OpenAI SDK raises, as reasons. A provider's words are quoted without the key."""

import re
from urllib.parse import urlsplit

from openai import APIConnectionError, APIError, APIStatusError
from pydantic import JsonValue
from vision_node_contract.reasons import DescribeError, Reason

from .waits import retry_after
from .wording import said

_SET_MODEL = "set OPENAI_VISION_MODEL, or the Describer's model, to one that it has and that reads pictures"

CHECK_ADDRESS = (
    "OPENAI_BASE_URL looks wrong: it is the address before /chat/completions, which mostly ends in /v1, "
    "such as http://ollama.default.svc:11434/v1"
)

_NO_SUCH_PAGE = re.compile(
    r"^\W*(?:404\W+)?(?:the )?(?:requested )?(?:page|resource|route|url|path|endpoint)?\s*(?:was )?"
    r"not found\W*$|invalid url|method not allowed|no route|unknown (?:url|path|endpoint|request url)",
    re.IGNORECASE,
)
"""How servers of this protocol say that they have nothing at a path."""

_WORDED = (
    (
        Reason.CREDENTIALS_REFUSED,
        re.compile(r"api.?key.{0,20}(?:not valid|invalid)|API_KEY_INVALID", re.IGNORECASE),
    ),
    (
        Reason.CONTENT_REFUSED,
        re.compile(r"requires moderation|input was flagged|safety system", re.IGNORECASE),
    ),
)
"""What only the words tell: Gemini refuses a wrong key with 400, OpenRouter a flagged picture with 403."""

_CODES = {
    Reason.QUOTA_EXHAUSTED: {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"},
    Reason.MODEL_NOT_FOUND: {"model_not_found", "deploymentnotfound", "model_not_available"},
    Reason.CONTENT_REFUSED: {
        "content_filter",
        "content_policy_violation",
        "moderation_error",
        "moderation_blocked",
    },
    Reason.CREDENTIALS_REFUSED: {"invalid_api_key", "authentication_error", "permission_error"},
    Reason.RATE_LIMITED: {"rate_limit_exceeded", "rate_limit_error", "too_many_requests"},
    Reason.PROVIDER_UNAVAILABLE: {"server_error", "overloaded_error", "api_error", "timeout"},
    Reason.REQUEST_REFUSED: {"invalid_request_error"},
}
"""platform.openai.com/docs/guides/error-codes; deployments and the filter are Azure's."""

_STATUSES = {
    401: Reason.CREDENTIALS_REFUSED,
    402: Reason.QUOTA_EXHAUSTED,
    403: Reason.CREDENTIALS_REFUSED,
    404: Reason.MODEL_NOT_FOUND,
    408: Reason.PROVIDER_UNAVAILABLE,
    409: Reason.PROVIDER_UNAVAILABLE,
    429: Reason.RATE_LIMITED,
}

_SPECIFIC = (
    Reason.QUOTA_EXHAUSTED,
    Reason.MODEL_NOT_FOUND,
    Reason.CONTENT_REFUSED,
)
"""Reasons that an error's code tells better than its HTTP status."""

_QUOTED_CHARACTERS = 2000
"""Of an error's body that is looked through."""

_DISPENSABLE = frozenset(
    {"response_format", "text", "store", "max_tokens", "max_completion_tokens", "max_output_tokens"}
)
"""Fields of a request that it can do without, when a server does not know them or their values."""

_NAMED_IN_WORDS = _DISPENSABLE - {"text", "store"}
"""Those that can't be anything else in a sentence."""


def refused_fields(error: APIError) -> frozenset[str]:
    """Return the dispensable fields that a server refused, by its error's `param` or else by its words."""
    if not isinstance(error, APIStatusError) or error.status_code not in (400, 422):
        return frozenset()
    if error.param:
        return _DISPENSABLE & {str(error.param).partition(".")[0]}
    words = _words(error).lower()
    return frozenset(name for name in _NAMED_IN_WORDS if name in words or name.replace("_", " ") in words)


def reason_for(error: APIError, *, server: str, model: str, key: str | None) -> DescribeError:
    """Return the DescribeError for what the SDK raised.

    Args:
        error: The SDK's.
        server: Its host name, for the message.
        model: Which was asked for.
        key: The API key, to be left out of what is quoted.
    """
    if isinstance(error, APIConnectionError):
        message = f"{server} can't be reached, or did not answer in time ({_cause(error)})"
        return DescribeError(Reason.PROVIDER_UNAVAILABLE, message)
    if not isinstance(error, APIStatusError):
        return DescribeError(Reason.PROVIDER_UNAVAILABLE, f"{server}: {said(error.message, key)}")
    reason, what = _status(error, server, model)
    wait = retry_after(error.response.headers) if reason.retryable else None
    quoted = "" if reason is Reason.CREDENTIALS_REFUSED else f" ({said(_words(error), key)})"
    return DescribeError(reason, f"{what}{quoted}", retry_after=wait)


def _status(error: APIStatusError, server: str, model: str) -> tuple[Reason, str]:
    if _is_wrong_address(error):
        nothing = f"{server} has nothing at that address (HTTP {error.status_code})"
        return Reason.OPTIONS_INVALID, f"{nothing}; {CHECK_ADDRESS}"
    if 300 <= error.status_code < 400:
        to = _target(error.response.headers.get("location", ""))
        moved = f"{server} redirects to {to} (HTTP {error.status_code}), which is not followed"
        return Reason.OPTIONS_INVALID, f"{moved}; {CHECK_ADDRESS}"

    reason = _by_code(error) or _by_status(error.status_code)
    what = {
        Reason.CONTENT_REFUSED: f"{server}'s content filter refuses the picture or the prompt",
        Reason.CREDENTIALS_REFUSED: f"{server} refuses the key; check OPENAI_API_KEY",
        Reason.MODEL_NOT_FOUND: f"{server} has no model {model} for this key; {_SET_MODEL}",
        Reason.QUOTA_EXHAUSTED: f"the quota at {server} is used up; raise it or pay there",
        Reason.RATE_LIMITED: f"{server} is asked too often",
        Reason.PROVIDER_UNAVAILABLE: f"{server} answers HTTP {error.status_code}",
        Reason.REQUEST_REFUSED: f"{server} refuses the request with HTTP {error.status_code}",
    }
    return reason, what[reason]


def _is_wrong_address(error: APIStatusError) -> bool:
    """Return whether a 404 or 405 is that of a web server which has no such page, not of a missing model."""
    if error.status_code not in (404, 405):
        return False
    message = _words(error)
    return not _has_message(error) or _NO_SUCH_PAGE.search(message) is not None


def _has_message(error: APIStatusError) -> bool:
    """Return whether the server worded an error in its protocol: an object, a list of one, or its text."""
    body = error.body[0] if isinstance(error.body, list) and error.body else error.body
    if isinstance(body, str):
        return error.response.text.lstrip().startswith(("{", "["))
    return isinstance(body, dict) and bool(body.keys() & {"message", "error"})


def _target(location: str) -> str:
    """Return where a redirect leads, without a query, which may hold a secret."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "another address"
    host = parts.netloc.rpartition("@")[2]
    return said(f"{parts.scheme}://{host}{parts.path}" if host else parts.path)


def reason_in_answer(failure: JsonValue) -> DescribeError:
    """Return the DescribeError for an error that came with HTTP 200, as gateways such as OpenRouter send.

    Args:
        failure: The value of `error`: text, or an object with `code` (a status or a word), `type`, `message`.
    """
    if not isinstance(failure, dict):
        failure = {"message": str(failure)}
    words = {str(failure.get(name) or "").lower() for name in ("code", "type", "status")}
    reason = next((reason for reason, known in _CODES.items() if words & known), None)
    status = next((int(word) for word in words if re.fullmatch(r"[1-5]\d\d", word)), None)
    if status is not None and reason not in _SPECIFIC:
        reason = _by_status(status)
    message = failure.get("message") or failure.get("code") or "no explanation"
    reason = _by_words(str(message)) or reason
    return DescribeError(
        reason or Reason.PROVIDER_UNAVAILABLE, f"the provider answers with an error: {said(str(message))}"
    )


def _by_code(error: APIStatusError) -> Reason | None:
    """Return the reason that the error's code or type gives, where it says more than the status."""
    codes = {str(error.code or "").lower(), str(error.type or "").lower()}
    by_code = next((reason for reason in _SPECIFIC if codes & _CODES[reason]), None)
    return by_code or _by_words(f"{_words(error)} {error.response.text[:_QUOTED_CHARACTERS]}")


def _by_words(text: str) -> Reason | None:
    return next((reason for reason, words in _WORDED if words.search(text)), None)


def _by_status(status: int) -> Reason:
    if status in _STATUSES:
        return _STATUSES[status]
    return Reason.PROVIDER_UNAVAILABLE if status >= 500 else Reason.REQUEST_REFUSED


def _words(error: APIStatusError) -> str:
    body = error.body[0] if isinstance(error.body, list) and error.body else error.body
    if isinstance(body, dict):
        body = body.get("error") or body
    message = body.get("message") if isinstance(body, dict) else body
    return message if isinstance(message, str) else error.message


def _cause(error: Exception) -> str:
    return type(error.__cause__ or error).__name__
