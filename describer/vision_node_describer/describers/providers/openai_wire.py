"""OpenAI's two protocols, the Responses API and chat completions: what is sent, what is read.

Answers are checked against the little of them that is used here: servers that speak these protocols
leave out or add what they like, and the SDK's own models check nothing.
"""

import base64
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic_core import from_json
from vision_node_contract.description import Usage
from vision_node_contract.reasons import DescribeError, Reason

from .answer import SCHEMA
from .openai_errors import reason_in_answer
from .prompt import RULES
from .upload import Upload
from .wording import said

Api = Literal["responses", "chat"]
Request = dict[str, Any]

_SCHEMA_NAME = "description"

_TEXT_PARTS = (None, "text", "output_text")
"""Types of a message's parts that are its text; `thinking`, `reasoning` and the like are not."""

_FILTERED = ("content_filter", "safety", "prohibited", "blocklist", "recitation", "spii")
"""OpenAI's word, and those of Google's models behind gateways, such as IMAGE_SAFETY."""

_TOO_LONG = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})


@dataclass(frozen=True, slots=True)
class Question:
    """One picture and what to say about it."""

    model: str
    upload: Upload
    wishes: str
    detail: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote, which model it was, what it took."""

    text: str
    model: str | None
    usage: Usage | None
    finish: str | None = None
    """Why it stopped, in the protocol's word; None if that is not said."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Tokens(_Part):
    """Either protocol's names for the same."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    def usage(self) -> Usage:
        return Usage(
            input_tokens=self.input_tokens or self.prompt_tokens or 0,
            output_tokens=self.output_tokens or self.completion_tokens or 0,
        )


class _Content(_Part):
    type: str | None = None
    text: str | None = None
    refusal: JsonValue = None


class _Item(_Part):
    content: list[_Content] | None = None


class _Details(_Part):
    reason: str | None = None


class _Response(_Part):
    """What is used of https://platform.openai.com/docs/api-reference/responses/object."""

    model: str | None = None
    status: str | None = None
    output: list[_Item]
    incomplete_details: _Details | None = None
    error: JsonValue = None
    usage: JsonValue = None


class _Message(_Part):
    content: str | list[str | _Content] | None = None
    refusal: JsonValue = None


class _Choice(_Part):
    message: _Message | None = None
    finish_reason: str | None = None
    error: JsonValue = None


class _Completion(_Part):
    """What is used of https://platform.openai.com/docs/api-reference/chat/object."""

    model: str | None = None
    choices: list[_Choice]
    usage: JsonValue = None


def responses_request(question: Question) -> Request:
    """Return the body for POST /responses. Without `temperature`, which reasoning models refuse."""
    picture = {"type": "input_image", "image_url": _data_url(question.upload), "detail": question.detail}
    wishes = {"type": "input_text", "text": question.wishes}
    schema = {"type": "json_schema", "name": _SCHEMA_NAME, "schema": SCHEMA, "strict": True}
    return {
        "model": question.model,
        "instructions": RULES,
        "input": [{"role": "user", "content": [wishes, picture]}],
        "text": {"format": schema},
        "max_output_tokens": question.max_tokens,
        "store": False,  # or the picture would lie at OpenAI's for a month
    }


def chat_request(question: Question, *, tokens_field: str) -> Request:
    """Return the body for POST /chat/completions; `tokens_field` bounds the answer."""
    picture = {"url": _data_url(question.upload), "detail": question.detail}
    wishes = [{"type": "text", "text": question.wishes}, {"type": "image_url", "image_url": picture}]
    schema = {"name": _SCHEMA_NAME, "schema": SCHEMA, "strict": True}
    return {
        "model": question.model,
        "messages": [{"role": "system", "content": RULES}, {"role": "user", "content": wishes}],
        "response_format": {"type": "json_schema", "json_schema": schema},
        tokens_field: question.max_tokens,
    }


def _data_url(upload: Upload) -> str:
    return f"data:{upload.media_type};base64,{base64.b64encode(upload.data).decode()}"


def read_reply(api: Api, body: bytes) -> Reply:
    """Return what the model wrote.

    Raises:
        DescribeError: ContentRefused, EmptyAnswer, or what an error in the answer stands for.
        ValueError: the body is not of the protocol.
    """
    if (failure := _error_in(body)) is not None:
        raise reason_in_answer(failure)
    if api == "responses":
        return _read_response(_Response.model_validate_json(body))
    return _read_completion(_Completion.model_validate_json(body))


def _error_in(body: bytes) -> JsonValue:
    """Return the error that stands where the answer should be, as some servers send with HTTP 200."""
    try:
        whole = from_json(body)
    except ValueError:
        return None
    if isinstance(whole, list) and whole:  # as Google's gateway wraps it
        whole = whole[0]
    if not isinstance(whole, dict):
        return None
    if whole.get("object") == "error":
        return whole
    return None if _says_something(whole) else whole.get("error")


def _says_something(whole: dict[str, Any]) -> bool:
    """Return whether there is any text in an answer; an error beside it came too late to matter."""
    choices = whole.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return bool(whole.get("output")) or (isinstance(message, dict) and bool(message.get("content")))


def _read_response(response: _Response) -> Reply:
    contents = [content for item in response.output for content in item.content or []]
    why = response.incomplete_details.reason if response.incomplete_details else None
    finish = why if response.status == "incomplete" else None
    _check_end(finish)
    if response.status == "failed" or response.error:
        raise reason_in_answer(response.error or "no reason is given")
    _check_refusal(next((content.refusal for content in contents if content.refusal), None))

    text = "".join(content.text or "" for content in contents if content.type in _TEXT_PARTS)
    return Reply(_not_empty(text, finish), response.model, _usage(response.usage), finish or response.status)


def _read_completion(completion: _Completion) -> Reply:
    if not completion.choices:
        raise _empty("the model answered nothing")
    choice = completion.choices[0]
    if choice.error:
        raise reason_in_answer(choice.error)
    message = choice.message or _Message()
    parts = message.content if isinstance(message.content, list) else []
    _check_refusal(message.refusal)
    _check_refusal(
        next((part.refusal for part in parts if isinstance(part, _Content) and part.refusal), None)
    )
    _check_end(choice.finish_reason)

    text = _not_empty(_joined(message.content), choice.finish_reason)
    return Reply(text, completion.model, _usage(completion.usage), choice.finish_reason)


def _joined(content: str | list[str | _Content] | None) -> str:
    """Return the text of a message, which some servers send in parts; thoughts among them are left out."""
    if not isinstance(content, list):
        return content or ""
    parts = (_Content(type="text", text=part) if isinstance(part, str) else part for part in content)
    return "".join(part.text or "" for part in parts if part.type in _TEXT_PARTS)


def _usage(tokens: JsonValue) -> Usage | None:
    """Return what was used, if the server says so in whole numbers."""
    try:
        return _Tokens.model_validate(tokens).usage() if tokens else None
    except ValidationError:
        return None


def _check_refusal(refusal: JsonValue) -> None:
    if refusal:
        raise DescribeError(Reason.CONTENT_REFUSED, f"the model refused: {said(str(refusal))}")


def _check_end(reason: str | None) -> None:
    """Raise for the ends that leave no whole answer, in the words of either protocol and of others."""
    reason = (reason or "").lower()
    if any(word in reason for word in _FILTERED):
        message = "the provider's content filter stopped the answer; the picture is not described"
        raise DescribeError(Reason.CONTENT_REFUSED, message)
    if reason in _TOO_LONG:
        what = f"the answer did not fit (finish reason {reason})"
        raise _empty(f"{what}; raise maxOutputTokens in the Describer's options")


def _not_empty(text: str, finish: str | None) -> str:
    if not text.strip():
        why = f" (finish reason {said(finish)})" if finish else ""
        raise _empty(f"the model answered nothing{why}; a reasoning model may need a larger maxOutputTokens")
    return text


def _empty(message: str) -> DescribeError:
    return DescribeError(Reason.EMPTY_ANSWER, message)
