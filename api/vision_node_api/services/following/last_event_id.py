"""Read the id of the last event that a client has received."""

import re

from ...watch.change_log import Kind, Position
from ...web.problems import Problem

_ID = re.compile(r"(0|[1-9][0-9]{0,18})(?:-(0|[1-9][0-9]{0,18}))?", re.ASCII)


def read_last_event_id(header: str | None, parameter: str | None) -> Position | None:
    """Return how far a client has followed; None if it begins now.

    Args:
        header: The header Last-Event-ID, which has precedence, because EventSource keeps the
            parameters of its first request.
        parameter: The query parameter lastEventId.

    Raises:
        Problem: 400 InvalidLastEventId.
    """
    text = header or parameter
    if not text:
        return None

    match = _ID.fullmatch(text)
    if match is None:
        detail = (
            "Last-Event-ID is not the id of an event of this API. Send the id of the last event "
            "that you have received, or none to begin now."
        )
        raise Problem(400, "InvalidLastEventId", detail)

    return Position(int(match[1]), int(match[2] or match[1]))


def id_of(position: Position) -> str:
    """Return the id of an event about any objects: the resourceVersions of jobs and of batches."""
    return f"{position.jobs}-{position.batches}"


def id_of_kind(position: Position | None, kind: Kind) -> int:
    """Return the resourceVersion of one kind; 0 if the client begins now."""
    return position.of(kind) if position else 0
