"""The schema of events in streams, and an example of a stream.

OpenAPI 3.1 has no way to describe the parts of a stream, so `x-itemSchema` has what is `itemSchema`
in OpenAPI 3.2: the schema of one event, whose data is JSON text.
"""

import json
from typing import Any

from .examples import RESPONSES

Json = dict[str, Any]

_DATA = {
    "job": "StatusResponse",
    "batch": "BatchResponse",
    "deleted": "DeletedEvent",
    "reset": "ResetEvent",
}
"""Names of the schemas of the data, by the name of the event."""


def _variant(name: str, schema: str) -> Json:
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": f"#/components/schemas/{schema}"},
    }
    return {"properties": {"event": {"const": name}, "data": data}}


EVENT_SCHEMAS: dict[str, Json] = {
    "Event": {
        "title": "Event",
        "type": "object",
        "description": "One event of a stream. Comments and events without data are no events.",
        "required": ["event", "data"],
        "properties": {
            "id": {
                "type": "string",
                "description": "value of Last-Event-ID with which another request continues",
            },
            "event": {"type": "string", "enum": [*_DATA]},
            "data": {"type": "string", "description": "JSON, whose schema depends on the event"},
        },
        "oneOf": [_variant(name, schema) for name, schema in _DATA.items()],
    },
    "DeletedEvent": {
        "title": "DeletedEvent",
        "type": "object",
        "description": "A job or a batch is no longer in Kubernetes: job_id or batch names it.",
        "required": ["version"],
        "properties": {
            "job_id": {"type": "string", "description": "id of the job"},
            "batch": {"type": "string", "description": "name of the batch"},
            "version": {"type": "string", "description": "its last resourceVersion"},
        },
    },
    "ResetEvent": {
        "title": "ResetEvent",
        "type": "object",
        "description": "Changes may have been missed: read the lists again. Then events continue.",
        "required": ["reason", "message"],
        "properties": {
            "reason": {
                "type": "string",
                "description": "VersionTooOld, ChangesMissed or VersionUnknown",
            },
            "message": {"type": "string"},
        },
    },
}


def _example() -> str:
    data = json.dumps(RESPONSES["status"]["application/json"], separators=(",", ":"))
    return f"retry: 2000\n\nid: 5131\nevent: job\ndata: {data}\n\n: keep-alive\n\n"


EVENTS: Json = {
    "schema": {
        "type": "string",
        "description": "Server-Sent Events. The data of `job` is a StatusResponse, of `batch` a "
        "BatchResponse, of `deleted` a DeletedEvent and of `reset` a ResetEvent, as JSON.",
    },
    "example": _example(),
    "x-itemSchema": {"$ref": "#/components/schemas/Event"},
}
"""The content of a stream of events."""
