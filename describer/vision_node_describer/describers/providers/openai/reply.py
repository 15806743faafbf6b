"""Read the model's text from responses in OpenAI's two protocols."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, ValidationError
from pydantic_core import from_json
from vision_node_contract.models.description import Usage
from vision_node_contract.models.reasons import DescribeError, Reason

from ...remote.answers.field_values import text_of
from ...remote.answers.read_object import contains_object
from ...remote.answers.strict_json import parse_object
from ...remote.error_body import parse_error_body
from ...remote.sanitize import quote_provider
from .errors import RequestContext, error_in_answer
from .event_stream import UNFINISHED, assemble_answer, is_event_stream
from .request_body import Api
from .response_types import Completion, Content, Message, Response, Tokens

_TEXT_PARTS = (None, "text", "output_text")
"""Types of the message parts that contain the answer's text. None stands for a missing type."""

_CONTENT_FILTERS = (
    "content_filter",
    "safety",
    "prohibited",
    "blocklist",
    "recitation",
    "spii",
    "refusal",
    "sensitive",
    "guardrail",
)
"""Words in finish reasons that indicate a content filter. They appear in OpenAI's reasons, and in
those of Google's models behind gateways, such as IMAGE_SAFETY."""

_TOKEN_LIMITS = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
"""Finish reasons of an answer that reached the token limit."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's text and name, and the number of tokens that it used."""

    text: str
    model: str | None
    usage: Usage | None
    finish_reason: str | None = None
    """The protocol's code for why the model stopped; None if it is missing."""


def read_reply(
    api: Api,
    body: bytes,
    context: RequestContext = RequestContext(),  # noqa: B008  # frozen
) -> Reply:
    """Return the model's reply.

    Args:
        api: The protocol that the request used.
        body: Body of a response with HTTP 200.
        context: Information about the request, for error messages.

    Raises:
        DescribeError: ContentRefused, EmptyAnswer, or the reason for an error in the response.
        ValueError: The body does not follow the protocol.
    """
    answer = assemble_answer(body) if is_event_stream(body) else from_json(body)
    if isinstance(answer, list) and answer:  # Google's gateway wraps errors in a list
        answer = answer[0]

    if not isinstance(answer, dict):
        raise ValueError("the answer is not an object")  # noqa: TRY004  # as pydantic's ValidationError
    if not _has_text(answer) and parse_error_body(answer) is not None:
        raise error_in_answer(answer, context)

    if api == "responses":
        return _read_response(Response.model_validate(answer), context)
    return _read_completion(Completion.model_validate(answer), context)


def _has_text(answer: dict[str, Any]) -> bool:
    """Return whether an answer contains text. If so, an error in the same answer is ignored."""
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None

    return bool(answer.get("output")) or (
        isinstance(message, dict) and bool(message.get("content"))
    )


def _read_response(response: Response, context: RequestContext) -> Reply:
    items = [
        item for item in response.output if item.type != "reasoning" and item.phase != "commentary"
    ]
    contents = [content for item in items for content in item.content]
    details = response.incomplete_details
    finish_reason = details.reason if details and response.status == "incomplete" else None

    text = _join(contents)
    _require_complete(finish_reason, text)
    if response.status == "failed" or response.error:
        raise error_in_answer(response.error or "no reason is given", context)
    _require_no_refusal(next((content.refusal for content in contents if content.refusal), None))

    return Reply(
        _require_text(text, finish_reason),
        response.model,
        _usage(response.usage),
        finish_reason or response.status,
    )


def _read_completion(completion: Completion, context: RequestContext) -> Reply:
    if not completion.choices:
        raise _empty("the model's answer is empty")

    choice = completion.choices[0]
    if choice.error:
        raise error_in_answer(choice.error, context)

    message, finish_reason = choice.message or Message(), choice.finish_reason
    parts = message.content
    _require_no_refusal(
        message.refusal or next((part.refusal for part in parts if part.refusal), None)
    )

    text = _join(parts) or choice.text or _misplaced_answer(message)
    _require_complete(choice.native_finish_reason, text)
    _require_complete(finish_reason, text)

    return Reply(
        _require_text(text, finish_reason),
        completion.model,
        _usage(completion.usage),
        finish_reason,
    )


def _join(parts: list[Content]) -> str:
    """Return the text in a message's parts, except for parts that are reasoning."""
    texts = [part.text for part in parts if part.type in _TEXT_PARTS and not part.thought]
    return "".join(text if isinstance(text, str) else text_of(text) for text in texts)


def _misplaced_answer(message: Message) -> str:
    """Return a complete description object from an unexpected field; "" if there is none.

    Some gateways enforce a schema with a function call, and its arguments then contain the answer.
    Some parsers treat the whole answer as reasoning if the model is configured not to reason.
    """
    arguments = [call.function.arguments for call in message.tool_calls if call.function]
    encoded = [json.dumps(value) if isinstance(value, dict) else value for value in arguments]
    candidates = (*encoded, message.reasoning_content, message.reasoning)
    texts = (text for text in candidates if isinstance(text, str) and parse_object(text))

    return next((text for text in texts if contains_object(text)), "")


def _usage(tokens: JsonValue) -> Usage | None:
    """Return the number of tokens used; None if the server's numbers are missing or invalid."""
    try:
        return Tokens.model_validate(tokens).usage() if tokens else None
    except ValidationError:
        return None


def _require_no_refusal(refusal: JsonValue) -> None:
    if refusal:
        message = f"the model refused: {quote_provider(str(refusal))}"
        raise DescribeError(Reason.CONTENT_REFUSED, message)


def _require_complete(finish_reason: str | None, text: str) -> None:
    """Raise an error if the finish reason means that the answer is incomplete.

    The finish reason may come from either protocol or from a gateway.

    Raises:
        DescribeError: ContentRefused, ProviderUnavailable or EmptyAnswer.
    """
    reason = (finish_reason or "").lower()
    if any(word in reason for word in _CONTENT_FILTERS):
        message = "the provider's content filter stopped the answer; the picture is not described"
        raise DescribeError(Reason.CONTENT_REFUSED, message)

    if reason == "error" and not text.strip():
        message = "the provider stopped the answer because of an unspecified error"
        raise DescribeError(Reason.PROVIDER_UNAVAILABLE, message)

    # Some models continue after a complete object until they reach the limit.
    if reason in _TOKEN_LIMITS and not contains_object(text):
        what = f"the answer reached the token limit (finish reason {reason})"
        raise _empty(f"{what}; raise maxOutputTokens in the Describer's options")

    if reason in (UNFINISHED, "error") and not contains_object(text):
        raise _empty(f"the answer was cut off (finish reason {reason})")


def _require_text(text: str, finish_reason: str | None) -> str:
    if not text.strip():
        because = f" (finish reason {quote_provider(finish_reason)})" if finish_reason else ""
        advice = "a reasoning model may need a larger maxOutputTokens"
        raise _empty(f"the model's answer is empty{because}; {advice}")
    return text


def _empty(message: str) -> DescribeError:
    return DescribeError(Reason.EMPTY_ANSWER, message)
