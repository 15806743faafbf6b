"""Convert the OpenAI SDK's exceptions, and errors in responses, to DescribeErrors.

The key is removed from messages that quote a provider.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from openai import APIConnectionError, APIError, APIStatusError
from pydantic import JsonValue
from pydantic_core import from_json
from vision_node_contract.models.reasons import DescribeError, Reason

from ...remote.bounded_http import ResponseTooLargeError
from ...remote.error_body import ErrorBody, parse_error_body
from ...remote.error_reason import classify_error
from ...remote.retry_after import retry_after
from ...remote.sanitize import quote_provider

_SET_MODEL = (
    "set OPENAI_VISION_MODEL, or the Describer's model, to one of its models that read pictures"
)

_WRONG_ADDRESS = (
    "OPENAI_BASE_URL looks wrong: it must be the part of the address before /chat/completions,"
    " which usually ends in /v1"
)

_EXAMPLE = "http://ollama.default.svc:11434/v1"

_OPTIONAL_FIELDS = frozenset(
    {"response_format", "text", "store", "max_tokens", "max_completion_tokens", "max_output_tokens"}
)
"""Fields that a request can omit if a server does not support them or their values."""

_UNAMBIGUOUS_NAMES = _OPTIONAL_FIELDS - {"text", "store"}
"""Optional fields that a message can identify, because their names are not ordinary words."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The server and model of a request, for error messages."""

    server: str = "the provider"
    """The server's host name."""
    model: str = ""
    key: str | None = field(default=None, repr=False)
    """The key, which is removed from quotations."""
    base_url: str | None = None

    def address_advice(self) -> str:
        """Return advice for an address that looks wrong, with a suggested address."""
        parts = urlsplit(self.base_url or "")
        if not parts.hostname or parts.path.endswith("/v1"):
            return f"{_WRONG_ADDRESS}, such as {_EXAMPLE}"

        host = parts.netloc.rpartition("@")[2]
        return f"{_WRONG_ADDRESS}; try {parts.scheme}://{host}{parts.path}/v1"

    def quote(self, text: str) -> str:
        """Return the server's text for an error message, without the key."""
        return quote_provider(text, self.key)


def unsupported_fields(error: APIError) -> frozenset[str]:
    """Return the optional fields that a server rejects in its error's `param` or message."""
    if not isinstance(error, APIStatusError) or error.status_code not in (400, 422):
        return frozenset()

    body = _error_body(error) or ErrorBody()
    if body.param:
        return _OPTIONAL_FIELDS & {body.param.partition(".")[0]}

    message = body.message.lower()
    return frozenset(
        name for name in _UNAMBIGUOUS_NAMES if name in message or name.replace("_", " ") in message
    )


def error_for(error: APIError, context: RequestContext) -> DescribeError:
    """Return the DescribeError for an exception from the SDK."""
    server = context.server
    if isinstance(error.__cause__, ResponseTooLargeError):
        return DescribeError(Reason.PROVIDER_UNAVAILABLE, f"{server}: {error.__cause__}")

    if isinstance(error, APIConnectionError):
        cause = _cause(error, context)
        message = f"{server} cannot be reached or did not answer in time ({cause})"
        return DescribeError(Reason.PROVIDER_UNAVAILABLE, message)

    if not isinstance(error, APIStatusError):
        message = f"{server}: {context.quote(error.message)}"
        return DescribeError(Reason.PROVIDER_UNAVAILABLE, message)

    if 300 <= error.status_code < 400:
        return _redirect_error(error, context)

    return _status_error(error, context)


def error_in_answer(
    answer: JsonValue,
    context: RequestContext = RequestContext(),  # frozen
) -> DescribeError:
    """Return the DescribeError for an error in a response with HTTP 200.

    Gateways such as OpenRouter send such responses.

    Args:
        answer: The body or the error in it, which is text or an object with `code` (a status or a
            word), `type` and `message`.
        context: Information about the request, for the message.
    """
    body = parse_error_body({"error": answer}) or ErrorBody("no explanation")
    reason = classify_error(body, None)
    message = _message(reason, body.message, body.status, context)
    return DescribeError(
        reason, message, retry_after=body.retry_after if reason.retryable else None
    )


def _status_error(error: APIStatusError, context: RequestContext) -> DescribeError:
    body = _error_body(error)
    if body and body.requires_tls:
        message = f"{context.server} accepts only TLS: OPENAI_BASE_URL must begin with https://"
        return DescribeError(Reason.OPTIONS_INVALID, message)

    reason = classify_error(body, error.status_code)
    words = body.message if body and body.message else error.response.text
    wait = retry_after(error.response.headers)
    if wait is None and body:
        wait = body.retry_after

    message = _message(reason, words, error.status_code, context)
    return DescribeError(reason, message, retry_after=wait if reason.retryable else None)


def _message(reason: Reason, words: str, status: int | None, context: RequestContext) -> str:
    """Return an error's message: what happened, how to fix it, and what the provider reported."""
    server = context.server
    answered = f"HTTP {status}" if status else "an error"
    model = f"no model {context.model}" if context.model else "no such model"
    messages = {
        Reason.CONTENT_REFUSED: f"{server}'s content filter rejected the picture or the prompt",
        Reason.CREDENTIALS_REFUSED: f"{server} rejected the key; check OPENAI_API_KEY",
        Reason.MODEL_NOT_FOUND: f"{server} has {model} for this key; {_SET_MODEL}",
        Reason.OPTIONS_INVALID: (
            f"{server} has nothing at that address ({answered}); {context.address_advice()}"
        ),
        Reason.QUOTA_EXHAUSTED: f"the quota at {server} is used up; raise it or add credit there",
        Reason.RATE_LIMITED: f"rate limited by {server}",
        Reason.PROVIDER_UNAVAILABLE: f"{server} answered with {answered}",
        Reason.REQUEST_REFUSED: f"{server} rejected the request with {answered}",
    }
    if reason is Reason.CREDENTIALS_REFUSED:
        return messages[reason]  # the provider's message may contain part of the key

    return f"{messages[reason]} ({context.quote(words)})"


def _redirect_error(error: APIStatusError, context: RequestContext) -> DescribeError:
    target = _redirect_target(error.response.headers.get("location", ""))
    redirect = f"{context.server} redirects to {target} (HTTP {error.status_code})"
    advice = f"{_WRONG_ADDRESS}, such as {_EXAMPLE}"
    return DescribeError(
        Reason.OPTIONS_INVALID, f"{redirect}, but redirects are not followed; {advice}"
    )


def _redirect_target(location: str) -> str:
    """Return the target of a redirect without its query, which may contain a secret."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "another address"

    host = parts.netloc.rpartition("@")[2]
    return quote_provider(f"{parts.scheme}://{host}{parts.path}" if host else parts.path)


def _error_body(error: APIStatusError) -> ErrorBody | None:
    """Return the error in the body, or the body's text if it does not follow the protocol.

    In responses with status 404 or 405, such text does not explain the error, so None is returned.
    """
    try:
        return parse_error_body(from_json(error.response.content))
    except ValueError:
        return ErrorBody(error.response.text) if error.status_code not in (404, 405) else None


def _cause(error: Exception, context: RequestContext) -> str:
    cause = error.__cause__ or error
    words = str(cause)
    return f"{type(cause).__name__}: {context.quote(words)}" if words else type(cause).__name__
