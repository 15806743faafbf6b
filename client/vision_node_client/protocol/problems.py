"""Read problem documents (RFC 9457)."""

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from ..environment import KEY_VARIABLE
from ..errors import ProblemError
from ..models import Json
from .messages import Reply

UNAUTHENTICATED = "Unauthenticated"
"""Reason for which the server refuses requests without a valid API key."""

NO_KEY = f"This client has no key: set {KEY_VARIABLE}, api_key, or --api-key-file."

REFUSED_KEY = "The key of this client is wrong, expired or revoked."


def problem_of(reply: Reply) -> ProblemError:
    """Return the error that a response stands for. A proxy may have sent it."""
    document = _document(reply)
    reason, detail = document.get("reason"), document.get("detail")
    retry_after = retry_after_of(reply)
    if isinstance(reason, str):
        text = str(detail or reply.phrase)
        if reason == UNAUTHENTICATED:
            text += f" {REFUSED_KEY if reply.sent_key else NO_KEY}"
        return ProblemError(reply.status, reason, text, retry_after)

    text = f"{reply.url} responded with {reply.status} {reply.phrase}"
    return ProblemError(reply.status, _reason(reply), text, retry_after)


def retry_after_of(reply: Reply) -> float | None:
    """Return the seconds in the header Retry-After (RFC 9110, section 10.2.3); None without one."""
    text = reply.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text)

    try:
        time = parsedate_to_datetime(text)
    except ValueError:
        return None

    return max((time.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0)


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
