"""What the OpenAI SDK raises, and what servers answer in place of an answer, as reasons.

A provider's words are quoted without the key.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from openai import APIConnectionError, APIError, APIStatusError
from pydantic import JsonValue
from pydantic_core import from_json
from vision_node_contract.models.reasons import DescribeError, Reason

from ...remote.bounded_http import AnswerTooLargeError
from ...remote.error_body import Failure, failure_in, reason_of
from ...remote.retry_after import retry_after
from ...remote.sanitize import said

_SET_MODEL = (
    "set OPENAI_VISION_MODEL, or the Describer's model, to one that it has and that reads pictures"
)

CHECK_ADDRESS = "OPENAI_BASE_URL looks wrong: it is the address before /chat/completions, which mostly ends in /v1"

_EXAMPLE = "http://ollama.default.svc:11434/v1"

_DISPENSABLE = frozenset(
    {"response_format", "text", "store", "max_tokens", "max_completion_tokens", "max_output_tokens"}
)
"""Fields of a request that it can do without, when a server does not know them or their values."""

_NAMED_IN_WORDS = _DISPENSABLE - {"text", "store"}
"""Those that can't be anything else in a sentence."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked for what, as far as an error's message needs it."""

    server: str = "the provider"
    """Its host name."""
    model: str = ""
    key: str | None = field(default=None, repr=False)
    """Left out of what is quoted."""
    base_url: str | None = None

    def check_address(self) -> str:
        """Return that the address looks wrong, and which one to try."""
        parts = urlsplit(self.base_url or "")
        if not parts.hostname or parts.path.endswith("/v1"):
            return f"{CHECK_ADDRESS}, such as {_EXAMPLE}"
        host = parts.netloc.rpartition("@")[2]
        return f"{CHECK_ADDRESS}; try {parts.scheme}://{host}{parts.path}/v1"


def refused_fields(error: APIError) -> frozenset[str]:
    """Return the dispensable fields that a server refused, by its error's `param` or else by its words."""
    if not isinstance(error, APIStatusError) or error.status_code not in (400, 422):
        return frozenset()

    failure = _failure_of(error) or Failure()
    if failure.param:
        return _DISPENSABLE & {failure.param.partition(".")[0]}

    words = failure.message.lower()
    return frozenset(
        name for name in _NAMED_IN_WORDS if name in words or name.replace("_", " ") in words
    )


def reason_for(error: APIError, asked: Asked) -> DescribeError:
    """Return the DescribeError for what the SDK raised."""
    if isinstance(error.__cause__, AnswerTooLargeError):
        return DescribeError(Reason.PROVIDER_UNAVAILABLE, f"{asked.server}: {error.__cause__}")

    if isinstance(error, APIConnectionError):
        message = (
            f"{asked.server} can't be reached, or did not answer in time ({_cause(error, asked)})"
        )
        return DescribeError(Reason.PROVIDER_UNAVAILABLE, message)

    if not isinstance(error, APIStatusError):
        return DescribeError(
            Reason.PROVIDER_UNAVAILABLE, f"{asked.server}: {said(error.message, asked.key)}"
        )
    if 300 <= error.status_code < 400:
        return _moved(error, asked)

    failure = _failure_of(error)
    if failure and failure.wants_tls:
        message = f"{asked.server} speaks TLS alone: let OPENAI_BASE_URL begin with https://"
        return DescribeError(Reason.OPTIONS_INVALID, message)

    reason = reason_of(failure, error.status_code)
    words = failure.message if failure and failure.message else error.response.text
    wait = retry_after(error.response.headers)
    if wait is None and failure:
        wait = failure.wait

    return _described(reason, words, wait, asked, error.status_code)


def reason_in_answer(body: JsonValue, asked: Asked = Asked()) -> DescribeError:
    """Return the DescribeError for an error that came with HTTP 200, as gateways such as OpenRouter send.

    Args:
        body: Of the answer, or the error in it: text, or an object with `code` (a status or a
        word), `type`,
            `message`.
        asked: Who was asked.
    """
    failure = failure_in({"error": body}) or Failure("no explanation")
    return _described(
        reason_of(failure, None), failure.message, failure.wait, asked, failure.status
    )


def _described(
    reason: Reason, words: str, wait: float | None, asked: Asked, status: int | None
) -> DescribeError:
    server, address, by_status = (
        asked.server,
        asked.check_address(),
        f"HTTP {status}" if status else "an error",
    )
    model = f"no model {asked.model}" if asked.model else "no such model"
    what = {
        Reason.CONTENT_REFUSED: f"{server}'s content filter refuses the picture or the prompt",
        Reason.CREDENTIALS_REFUSED: f"{server} refuses the key; check OPENAI_API_KEY",
        Reason.MODEL_NOT_FOUND: f"{server} has {model} for this key; {_SET_MODEL}",
        Reason.OPTIONS_INVALID: f"{server} has nothing at that address ({by_status}); {address}",
        Reason.QUOTA_EXHAUSTED: f"the quota at {server} is used up; raise it or pay there",
        Reason.RATE_LIMITED: f"{server} is asked too often",
        Reason.PROVIDER_UNAVAILABLE: f"{server} answers {by_status}",
        Reason.REQUEST_REFUSED: f"{server} refuses the request with {by_status}",
    }
    # Of a key that is refused, providers quote a part.
    quoted = "" if reason is Reason.CREDENTIALS_REFUSED else f" ({said(words, asked.key)})"

    return DescribeError(
        reason, f"{what[reason]}{quoted}", retry_after=wait if reason.retryable else None
    )


def _moved(error: APIStatusError, asked: Asked) -> DescribeError:
    to = _target(error.response.headers.get("location", ""))
    moved = f"{asked.server} redirects to {to} (HTTP {error.status_code}), which is not followed"
    return DescribeError(Reason.OPTIONS_INVALID, f"{moved}; {CHECK_ADDRESS}, such as {_EXAMPLE}")


def _target(location: str) -> str:
    """Return where a redirect leads, without a query, which may hold a secret."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "another address"
    host = parts.netloc.rpartition("@")[2]
    return said(f"{parts.scheme}://{host}{parts.path}" if host else parts.path)


def _failure_of(error: APIStatusError) -> Failure | None:
    """Return what a body says, as text if it is none of the protocol; but a missing page says nothing."""
    try:
        return failure_in(from_json(error.response.content))
    except ValueError:
        return Failure(error.response.text) if error.status_code not in (404, 405) else None


def _cause(error: Exception, asked: Asked) -> str:
    cause = error.__cause__ or error
    words = str(cause)
    return f"{type(cause).__name__}: {said(words, asked.key)}" if words else type(cause).__name__
