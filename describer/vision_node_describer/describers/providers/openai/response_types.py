"""The little that is used of answers in OpenAI's protocols. A field of an odd type counts as not there.

Servers leave out or add what they like, and the SDK's own models check nothing.
"""

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from vision_node_contract.models.description import Usage


def _only(kind: type) -> BeforeValidator:
    """Return what turns values of another type into None: a field that is odd is as good as none."""
    return BeforeValidator(lambda value: value if isinstance(value, kind) else None)


def _parts_of(value: Any) -> Any:
    """Return a message's parts; an object that is none is an answer which the server has decoded."""
    if isinstance(value, dict) and not value.keys() & {"text", "type", "refusal"}:
        value = json.dumps(value)
    return _list_of(value)


def _list_of(value: Any) -> Any:
    """Return a list's objects and texts, an object or a text alone as a list of one."""
    values = value if isinstance(value, list) else [value]
    return [
        {"text": one} if isinstance(one, str) else one
        for one in values
        if isinstance(one, dict | str)
    ]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


_Word = Annotated[str | None, _only(str)]


class Tokens(_Part):
    """Either protocol's names for the same."""

    input_tokens: int | None = Field(default=None, ge=0, lt=1 << 63)
    output_tokens: int | None = Field(default=None, ge=0, lt=1 << 63)
    prompt_tokens: int | None = Field(default=None, ge=0, lt=1 << 63)
    completion_tokens: int | None = Field(default=None, ge=0, lt=1 << 63)

    def usage(self) -> Usage:
        """Return them in one protocol's words."""
        return Usage(
            input_tokens=self.input_tokens or self.prompt_tokens or 0,
            output_tokens=self.output_tokens or self.completion_tokens or 0,
        )


class Content(_Part):
    """A part of a message; or of an item of the Responses API."""

    type: _Word = None
    text: JsonValue = None
    refusal: JsonValue = None
    thought: JsonValue = None


_Contents = Annotated[list[Content], BeforeValidator(_parts_of)]


class Item(_Part):
    """A step of the Responses API: a message, or thoughts."""

    type: _Word = None
    phase: _Word = None
    content: _Contents = []


_Items = Annotated[list[Item], BeforeValidator(_list_of)]


class Details(_Part):
    """Why a response is not whole."""

    reason: _Word = None


class Response(_Part):
    """What is used of https://platform.openai.com/docs/api-reference/responses/object."""

    model: _Word = None
    status: _Word = None
    output: _Items
    incomplete_details: Annotated[Details | None, _only(dict)] = None
    error: JsonValue = None
    usage: JsonValue = None


class Function(_Part):
    """A call of a function."""

    arguments: JsonValue = None


class Call(_Part):
    """What calls one."""

    function: Annotated[Function | None, _only(dict)] = None


_Calls = Annotated[list[Call], BeforeValidator(_list_of)]


class Message(_Part):
    """What the model wrote."""

    content: _Contents = []
    refusal: JsonValue = None
    tool_calls: _Calls = []
    reasoning_content: _Word = None
    reasoning: _Word = None


class Choice(_Part):
    """One of the answers that may be asked for."""

    message: Annotated[Message | None, _only(dict)] = None
    text: _Word = None
    finish_reason: _Word = None
    native_finish_reason: _Word = None
    error: JsonValue = None


_Choices = Annotated[list[Choice], BeforeValidator(_list_of)]


class Completion(_Part):
    """What is used of https://platform.openai.com/docs/api-reference/chat/object."""

    model: _Word = None
    choices: _Choices
    usage: JsonValue = None
