"""Describe the messages to callbacks in the section `webhooks` of the OpenAPI document."""

from typing import Any

from pydantic import BaseModel
from vision_node_contract.callbacks.messages import BatchMessage, JobMessage

Json = dict[str, Any]

_HEADERS = {
    "webhook-id": "id of the message, which is the same for each attempt to send it",
    "webhook-timestamp": "when this attempt began, in Unix seconds",
    "webhook-signature": "one or two signatures, each `v1,` and a HMAC-SHA256 in base64",
}


def webhooks() -> Json:
    """Return the section. Clients that generate code find the schemas of messages in it."""
    return {
        "job": _webhook("job", "A job with a callbackURL has ended", JobMessage),
        "batch": _webhook("batch", "A batch with a callbackURL has ended", BatchMessage),
    }


def _webhook(name: str, summary: str, message: type[BaseModel]) -> Json:
    schema = message.model_json_schema(mode="serialization")
    parts = schema.pop("$defs", {})
    parameters = [
        {
            "name": header,
            "in": "header",
            "required": True,
            "description": text,
            "schema": {"type": "string"},
        }
        for header, text in _HEADERS.items()
    ]

    return {
        "post": {
            "operationId": f"{name}_ended",
            "summary": summary,
            "parameters": parameters,
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _resolved(schema, parts)}},
            },
            "responses": {
                "2XX": {"description": "The message has arrived, and is not sent again"},
                "410": {"description": "The message is not sent again"},
                "default": {"description": "The message is sent again later"},
            },
        }
    }


def _resolved(value: Any, parts: Json) -> Any:
    """Return a schema with the schemas to which it refers in their places."""
    match value:
        case {"$ref": str(reference)}:
            return _resolved(parts[reference.rpartition("/")[2]], parts)
        case dict():
            return {name: _resolved(it, parts) for name, it in value.items()}
        case list():
            return [_resolved(it, parts) for it in value]
        case _:
            return value
