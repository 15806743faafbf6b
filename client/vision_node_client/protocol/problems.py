"""Read problem documents (RFC 9457)."""

import json
from http import HTTPStatus

from ..errors import ProblemError
from ..models import Json
from .messages import Reply


def problem_of(reply: Reply) -> ProblemError:
    """Return the error that a response stands for, whoever sent it."""
    document = _document(reply)
    reason, detail = document.get("reason"), document.get("detail")
    if isinstance(reason, str):
        return ProblemError(reply.status, reason, str(detail or reply.phrase))

    return ProblemError(
        reply.status, _reason(reply), f"{reply.url} responded with {reply.status} {reply.phrase}"
    )


def is_problem(reply: Reply) -> bool:
    """Return whether the server itself sent the response, and not a proxy before it."""
    return isinstance(_document(reply).get("reason"), str)


def _document(reply: Reply) -> Json:
    try:
        document = json.loads(reply.content)
    except ValueError:
        return {}

    return document if isinstance(document, dict) else {}


def _reason(reply: Reply) -> str:
    """Return the phrase of the status in CamelCase, such as `BadGateway`."""
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = reply.phrase

    return phrase.title().replace(" ", "") or f"Status{reply.status}"
