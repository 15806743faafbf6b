"""OpenAI's two protocols, the Responses API and chat completions: what is sent, what is read.

Answers are checked against the little of them that is used here: servers that speak these protocols
leave out or add what they like, and the SDK's own models check nothing.
"""

import base64
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from vision_node_contract.description import Usage
from vision_node_contract.reasons import DescribeError, Reason

from .answer import SCHEMA
from .prompt import RULES
from .upload import Upload
from .wording import said

Api = Literal["responses", "chat"]
Request = dict[str, Any]

_SCHEMA_NAME = "description"


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
    model: str
    usage: Usage | None


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
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class _Item(_Part):
    content: list[_Content] | None = None


class _Details(_Part):
    reason: str | None = None


class _Failure(_Part):
    code: str | None = None
    message: str | None = None


class _Response(_Part):
    """What is used of https://platform.openai.com/docs/api-reference/responses/object."""

    model: str = ""
    status: str = "completed"
    output: list[_Item]
    incomplete_details: _Details | None = None
    error: _Failure | None = None
    usage: _Tokens | None = None


class _Message(_Part):
    content: str | None = None
    refusal: str | None = None


class _Choice(_Part):
    message: _Message
    finish_reason: str | None = None


class _Completion(_Part):
    """What is used of https://platform.openai.com/docs/api-reference/chat/object."""

    model: str = ""
    choices: list[_Choice]
    usage: _Tokens | None = None


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
        DescribeError: ContentRefused, EmptyAnswer, RateLimited or ProviderUnavailable.
        ValueError: the body is not of the protocol.
    """
    if api == "responses":
        return _read_response(_Response.model_validate_json(body))
    return _read_completion(_Completion.model_validate_json(body))


def _read_response(response: _Response) -> Reply:
    contents = [content for item in response.output for content in item.content or []]
    why = response.incomplete_details.reason if response.incomplete_details else None
    _check_end(why if response.status == "incomplete" else None)
    if response.status == "failed":
        raise _failed(response.error or _Failure())
    _check_refusal(next((content.refusal for content in contents if content.refusal), None))
    text = "".join(content.text or "" for content in contents if content.type == "output_text")
    return Reply(_not_empty(text), response.model, response.usage.usage() if response.usage else None)


def _read_completion(completion: _Completion) -> Reply:
    if not completion.choices:
        raise _empty("the model answered nothing")
    choice = completion.choices[0]
    _check_refusal(choice.message.refusal)
    _check_end(choice.finish_reason)
    usage = completion.usage.usage() if completion.usage else None
    return Reply(_not_empty(choice.message.content or ""), completion.model, usage)


def _check_refusal(refusal: str | None) -> None:
    if refusal:
        raise DescribeError(Reason.CONTENT_REFUSED, f"the model refused: {said(refusal)}")


def _check_end(reason: str | None) -> None:
    """Raise for the ends that leave no whole answer, in either protocol's words."""
    if reason == "content_filter":
        message = "the provider's content filter stopped the answer; the picture is not described"
        raise DescribeError(Reason.CONTENT_REFUSED, message)
    if reason in ("length", "max_output_tokens"):
        raise _empty("the answer did not fit; raise maxOutputTokens in the Describer's options")


def _failed(failure: _Failure) -> DescribeError:
    reason = Reason.RATE_LIMITED if failure.code == "rate_limit_exceeded" else Reason.PROVIDER_UNAVAILABLE
    return DescribeError(reason, f"the provider gave up: {said(failure.message or failure.code or '')}")


def _not_empty(text: str) -> str:
    if not text.strip():
        raise _empty("the model answered nothing; a reasoning model may need a larger maxOutputTokens")
    return text


def _empty(message: str) -> DescribeError:
    return DescribeError(Reason.EMPTY_ANSWER, message)
