"""OpenAI's two protocols, the Responses API and chat completions: what is sent, what is read."""

import base64
import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import JsonValue, ValidationError
from pydantic_core import from_json
from vision_node_contract.models.description import Usage
from vision_node_contract.models.reasons import DescribeError, Reason

from ...remote.answers.field_values import text_of
from ...remote.answers.find_object import json_object
from ...remote.answers.normalize import holds_object
from ...remote.answers.schema import SCHEMA
from ...remote.error_body import failure_in
from ...remote.sanitize import said
from ...remote.upload import Upload
from .errors import Asked, reason_in_answer
from .event_stream import UNFINISHED, is_stream, whole_answer
from .prompt import RULES
from .response_types import Completion, Content, Message, Response, Tokens

Api = Literal["responses", "chat"]
Request = dict[str, Any]

_SCHEMA_NAME = "description"

_TEXT_PARTS = (None, "text", "output_text")
"""Types of a message's parts that are its text; `thinking`, `reasoning` and the like are not."""

_FILTERED = (
    *("content_filter", "safety", "prohibited", "blocklist", "recitation", "spii", "refusal"),
    *("sensitive", "guardrail"),
)
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


def responses_request(question: Question) -> Request:
    """Return the body for POST /responses. Without `temperature`, which reasoning models refuse."""
    picture = {
        "type": "input_image",
        "image_url": _data_url(question.upload),
        "detail": question.detail,
    }
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
    wishes = [
        {"type": "text", "text": question.wishes},
        {"type": "image_url", "image_url": picture},
    ]
    schema = {"name": _SCHEMA_NAME, "schema": SCHEMA, "strict": True}

    return {
        "model": question.model,
        "messages": [{"role": "system", "content": RULES}, {"role": "user", "content": wishes}],
        "response_format": {"type": "json_schema", "json_schema": schema},
        tokens_field: question.max_tokens,
    }


def _data_url(upload: Upload) -> str:
    return f"data:{upload.media_type};base64,{base64.b64encode(upload.data).decode()}"


def read_reply(api: Api, body: bytes, asked: Asked = Asked()) -> Reply:  # noqa: B008  # frozen
    """Return what the model wrote.

    Args:
        api: Which was spoken.
        body: Of an answer with HTTP 200.
        asked: Who was asked, for an error's message.

    Raises:
        DescribeError: ContentRefused, EmptyAnswer, or what an error in the answer stands for.
        ValueError: the body is not of the protocol.
    """
    answer = whole_answer(body) if is_stream(body) else from_json(body)
    answer = (
        answer[0] if isinstance(answer, list) and answer else answer
    )  # as Google's gateway wraps errors
    if not isinstance(answer, dict):
        raise ValueError("the answer is no object")  # noqa: TRY004  # as pydantic's ValidationError
    if not _says_something(answer) and failure_in(answer) is not None:
        raise reason_in_answer(answer, asked)
    if api == "responses":
        return _read_response(Response.model_validate(answer), asked)

    return _read_completion(Completion.model_validate(answer), asked)


def _says_something(answer: dict[str, Any]) -> bool:
    """Return whether there is any text in an answer; an error beside it came too late to matter."""
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return bool(answer.get("output")) or (
        isinstance(message, dict) and bool(message.get("content"))
    )


def _read_response(response: Response, asked: Asked) -> Reply:
    items = [
        item for item in response.output if item.type != "reasoning" and item.phase != "commentary"
    ]
    contents = [content for item in items for content in item.content]
    why = response.incomplete_details.reason if response.incomplete_details else None
    finish = why if response.status == "incomplete" else None
    text = _joined(contents)
    _check_end(finish, text)
    if response.status == "failed" or response.error:
        raise reason_in_answer(response.error or "no reason is given", asked)

    _check_refusal(next((content.refusal for content in contents if content.refusal), None))
    return Reply(
        _not_empty(text, finish), response.model, _usage(response.usage), finish or response.status
    )


def _read_completion(completion: Completion, asked: Asked) -> Reply:
    if not completion.choices:
        raise _empty("the model answered nothing")

    choice = completion.choices[0]
    if choice.error:
        raise reason_in_answer(choice.error, asked)

    message, finish = choice.message or Message(), choice.finish_reason
    parts = message.content
    _check_refusal(message.refusal or next((part.refusal for part in parts if part.refusal), None))

    text = _joined(parts) or choice.text or _elsewhere(message)
    _check_end(choice.native_finish_reason, text)
    _check_end(finish, text)

    return Reply(_not_empty(text, finish), completion.model, _usage(completion.usage), finish)


def _joined(parts: list[Content]) -> str:
    """Return the text of a message's parts; thoughts among them are left out."""
    texts = [part.text for part in parts if part.type in _TEXT_PARTS and not part.thought]
    return "".join(text if isinstance(text, str) else text_of(text) for text in texts)


def _elsewhere(message: Message) -> str:
    """Return an answer that stands where a server put it by mistake, if it is a whole object.

    That is the arguments of a function, by which some gateways force a schema; or the thoughts, to
    which parsers of models that were told not to think add everything.
    """
    arguments = [call.function.arguments for call in message.tool_calls if call.function]
    written = [json.dumps(one) if isinstance(one, dict) else one for one in arguments]
    places = (*written, message.reasoning_content, message.reasoning)
    texts = (text for text in places if isinstance(text, str) and json_object(text))
    return next((text for text in texts if holds_object(text)), "")


def _usage(tokens: JsonValue) -> Usage | None:
    """Return what was used, if the server says so in whole numbers."""
    try:
        return Tokens.model_validate(tokens).usage() if tokens else None
    except ValidationError:
        return None


def _check_refusal(refusal: JsonValue) -> None:
    if refusal:
        raise DescribeError(Reason.CONTENT_REFUSED, f"the model refused: {said(str(refusal))}")


def _check_end(reason: str | None, text: str) -> None:
    """Raise for the ends that leave no whole answer, in the words of either protocol and of others."""
    reason = (reason or "").lower()
    if any(word in reason for word in _FILTERED):
        message = "the provider's content filter stopped the answer; the picture is not described"
        raise DescribeError(Reason.CONTENT_REFUSED, message)
    if reason == "error" and not text.strip():
        message = "the provider stopped the answer for an error that it does not name"
        raise DescribeError(Reason.PROVIDER_UNAVAILABLE, message)
    # Some models write on after their object, until they reach the limit.
    if reason in _TOO_LONG and not holds_object(text):
        what = f"the answer did not fit (finish reason {reason})"
        raise _empty(f"{what}; raise maxOutputTokens in the Describer's options")
    if reason in (UNFINISHED, "error") and not holds_object(text):
        raise _empty(f"the answer broke off (finish reason {reason})")


def _not_empty(text: str, finish: str | None) -> str:
    if not text.strip():
        why = f" (finish reason {said(finish)})" if finish else ""
        raise _empty(
            f"the model answered nothing{why}; a reasoning model may need a larger maxOutputTokens"
        )
    return text


def _empty(message: str) -> DescribeError:
    return DescribeError(Reason.EMPTY_ANSWER, message)
