"""Models of the fields that are read from responses in OpenAI's protocols.

Servers deviate from the protocols, so a field of the wrong type counts as missing. The SDK's own
models would not validate the fields.
"""

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from vision_node_contract.models.description import Usage


def _only(kind: type) -> BeforeValidator:
    """Return a validator that replaces values of any other type with None."""
    return BeforeValidator(lambda value: value if isinstance(value, kind) else None)


def _content_parts(value: Any) -> Any:
    """Return a message's parts. An object that is not a part is an answer decoded by the server."""
    if isinstance(value, dict) and not value.keys() & {"text", "type", "refusal"}:
        value = json.dumps(value)
    return _list_of(value)


def _list_of(value: Any) -> Any:
    """Return a list of objects. Strings become objects, and a single value becomes a list."""
    values = value if isinstance(value, list) else [value]
    return [
        {"text": entry} if isinstance(entry, str) else entry
        for entry in values
        if isinstance(entry, dict | str)
    ]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


_Text = Annotated[str | None, _only(str)]


class Tokens(_Part):
    """Token counts, with the field names of both protocols."""

    input_tokens: int | None = Field(default=None, ge=0, lt=1 << 63)
    output_tokens: int | None = Field(default=None, ge=0, lt=1 << 63)
    prompt_tokens: int | None = Field(default=None, ge=0, lt=1 << 63)
    completion_tokens: int | None = Field(default=None, ge=0, lt=1 << 63)

    def usage(self) -> Usage:
        """Return the counts from whichever protocol the server used."""
        return Usage(
            input_tokens=self.input_tokens or self.prompt_tokens or 0,
            output_tokens=self.output_tokens or self.completion_tokens or 0,
        )


class Content(_Part):
    """A part of a message, or of an item of the Responses API."""

    type: _Text = None
    text: JsonValue = None
    refusal: JsonValue = None
    thought: JsonValue = None


_Contents = Annotated[list[Content], BeforeValidator(_content_parts)]


class Item(_Part):
    """An output item of the Responses API: a message or reasoning."""

    type: _Text = None
    phase: _Text = None
    content: _Contents = []


_Items = Annotated[list[Item], BeforeValidator(_list_of)]


class Details(_Part):
    """Details about why a response is incomplete."""

    reason: _Text = None


class Response(_Part):
    """A response (https://platform.openai.com/docs/api-reference/responses/object)."""

    model: _Text = None
    status: _Text = None
    output: _Items
    incomplete_details: Annotated[Details | None, _only(dict)] = None
    error: JsonValue = None
    usage: JsonValue = None


class Function(_Part):
    """The function of a tool call."""

    arguments: JsonValue = None


class ToolCall(_Part):
    """A tool call."""

    function: Annotated[Function | None, _only(dict)] = None


_ToolCalls = Annotated[list[ToolCall], BeforeValidator(_list_of)]


class Message(_Part):
    """The model's message."""

    content: _Contents = []
    refusal: JsonValue = None
    tool_calls: _ToolCalls = []
    reasoning_content: _Text = None
    reasoning: _Text = None


class Choice(_Part):
    """One of the answers in a chat completion."""

    message: Annotated[Message | None, _only(dict)] = None
    text: _Text = None
    finish_reason: _Text = None
    native_finish_reason: _Text = None
    error: JsonValue = None


_Choices = Annotated[list[Choice], BeforeValidator(_list_of)]


class Completion(_Part):
    """A chat completion (https://platform.openai.com/docs/api-reference/chat/object)."""

    model: _Text = None
    choices: _Choices
    usage: JsonValue = None
