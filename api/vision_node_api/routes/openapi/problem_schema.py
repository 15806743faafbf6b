"""The schema of problem documents, and examples of them."""

from typing import Any

from ...web.problems import Problem
from ...web.reasons import REGISTER

Json = dict[str, Any]

PROBLEM: Json = {
    "title": "Problem",
    "type": "object",
    "description": "A problem document (RFC 9457). GET /problems/{reason} explains its reason. "
    "Further members depend on the reason.",
    "required": ["type", "title", "status", "detail", "reason"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "tag URI of the reason"},
        "title": {"type": "string", "description": "what all problems with this reason have"},
        "status": {
            "type": "integer",
            "minimum": 400,
            "maximum": 599,
            "description": "HTTP status of the response",
        },
        "detail": {"type": "string", "description": "what happened, and what to do"},
        "instance": {"type": "string", "description": "path of the request"},
        "reason": {
            "type": "string",
            "description": "word in CamelCase that programs can act on; it never changes",
        },
        "help": {"type": "string", "description": "path of the page about the reason"},
    },
    "additionalProperties": True,
}

_REASONS = {
    400: "BadRequest",
    401: "Unauthenticated",
    403: "Forbidden",
    408: "UploadTooSlow",
    410: "ResultGone",
    413: "ImageTooLarge",
    415: "UnsupportedFormat",
    422: "InvalidRequest",
    429: "TooManyUploads",
    500: "WatchStopped",
    501: "HistoryDisabled",
    502: "JobUnreadable",
    503: "KubernetesUnavailable",
}
"""Reason of the example, by status."""

_REASONS_OF_TAGS = {
    ("jobs", 404): "JobNotFound",
    ("jobs", 409): "NotDone",
    ("batches", 400): "InvalidName",
    ("batches", 404): "BatchNotFound",
    ("batches", 409): "BatchFinished",
    ("batches", 410): "ImagesGone",
    ("batches", 413): "TooManyImages",
    ("batches", 415): "NotAnUpload",
    ("batches", 502): "BatchUnreadable",
    ("inbox", 404): "ObjectNotFound",
    ("inbox", 409): "ObjectInUse",
    ("keys", 404): "KeyNotFound",
    ("keys", 409): "TooManyKeys",
    ("keys", 422): "OptionsInvalid",
    ("keys", 501): "AuthenticationDisabled",
    ("keys", 503): "AuthenticationUnavailable",
    ("problems", 404): "ReasonNotFound",
    ("health", 503): "NotReady",
}
"""Reason of the example, by tag and status."""


def example_of(tag: str, status: int) -> Json | None:
    """Return an example of a problem of a route; None if there is none for this status.

    Args:
        tag: The route's first tag.
        status: The HTTP status.
    """
    reason = _REASONS_OF_TAGS.get((tag, status)) or _REASONS.get(status)
    if reason is None:
        return None

    entry = REGISTER[reason]
    return Problem(status, reason, f"{entry.happened} {entry.remedy}").document()
