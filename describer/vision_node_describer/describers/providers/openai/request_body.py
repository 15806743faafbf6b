"""Build request bodies for OpenAI's two protocols, the Responses API and chat completions."""

import base64
from dataclasses import dataclass
from typing import Any, Literal

from ...remote.answers.schema import SCHEMA
from ...remote.upload import Upload
from .prompt import RULES

Api = Literal["responses", "chat"]
RequestBody = dict[str, Any]

_SCHEMA_NAME = "description"


@dataclass(frozen=True, slots=True)
class DescribeRequest:
    """One picture and the instructions for describing it."""

    model: str
    upload: Upload
    instructions: str
    """The user's message. It does not contain the rules, which are the same for every request."""
    detail: str
    max_tokens: int


def responses_body(request: DescribeRequest) -> RequestBody:
    """Return the body for POST /responses.

    It has no `temperature`, because reasoning models reject it.
    """
    picture = {
        "type": "input_image",
        "image_url": _data_url(request.upload),
        "detail": request.detail,
    }
    instructions = {"type": "input_text", "text": request.instructions}
    schema = {"type": "json_schema", "name": _SCHEMA_NAME, "schema": SCHEMA, "strict": True}

    return {
        "model": request.model,
        "instructions": RULES,
        "input": [{"role": "user", "content": [instructions, picture]}],
        "text": {"format": schema},
        "max_output_tokens": request.max_tokens,
        "store": False,  # otherwise, OpenAI would keep the picture for a month
    }


def chat_body(request: DescribeRequest, *, tokens_field: str) -> RequestBody:
    """Return the body for POST /chat/completions. The token limit is sent as `tokens_field`."""
    picture = {"url": _data_url(request.upload), "detail": request.detail}
    content = [
        {"type": "text", "text": request.instructions},
        {"type": "image_url", "image_url": picture},
    ]
    schema = {"name": _SCHEMA_NAME, "schema": SCHEMA, "strict": True}

    return {
        "model": request.model,
        "messages": [{"role": "system", "content": RULES}, {"role": "user", "content": content}],
        "response_format": {"type": "json_schema", "json_schema": schema},
        tokens_field: request.max_tokens,
    }


def _data_url(upload: Upload) -> str:
    return f"data:{upload.media_type};base64,{base64.b64encode(upload.data).decode()}"
