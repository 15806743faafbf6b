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


def example_of(reason: str, status: int) -> Json:
    """Return an example of a problem document.

    Args:
        reason: A reason of the register.
        status: The HTTP status.
    """
    entry = REGISTER[reason]
    return Problem(status, reason, f"{entry.happened} {entry.remedy}").document()
