"""Read and write the cursors with which clients request the next page of a list.

A cursor contains the place of the previous page's last job or batch. The server therefore keeps no
state, and the cursor remains valid when others are added or deleted. Clients can't interpret it.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar
from uuid import UUID

from ...web.problems import Problem
from .history_rows import Position


class Placed(Protocol):
    """An entry of a list."""

    @property
    def position(self) -> Position:
        """Its place in the list."""


T = TypeVar("T", bound=Placed)

MAX_CURSOR_CHARACTERS = 100
"""Maximum length of a cursor. The longest has 67 bytes, or 90 characters in base64."""

NEWEST = Position(datetime.max.replace(tzinfo=UTC), str(UUID(int=(1 << 128) - 1)), 2**31 - 1)
"""The place at which lists begin."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UID = "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_TEXT = re.compile(rf"(-?[0-9]{{1,18}})/{_UID}/(-1|[0-9]{{1,10}})", re.ASCII)
_BATCH_TEXT = re.compile(rf"batch/{_UID}/([0-9]{{1,10}})", re.ASCII)
_MAX_INDEX = 2**31 - 1


def write_cursor(place: Position) -> str:
    """Return the cursor of the page that begins after a place."""
    microseconds = (place.at - _EPOCH) // timedelta(microseconds=1)
    return _encoded(f"{microseconds}/{place.uid}/{place.image_index}")


def write_batch_cursor(place: Position) -> str:
    """Return the cursor of the page of a batch's images that begins after a place."""
    return _encoded(f"batch/{place.uid}/{place.image_index}")


def page_of(found: Sequence[T], limit: int) -> tuple[Sequence[T], str | None]:
    """Return the first `limit` entries, and the cursor of the next page; None if there is none.

    `found` has one entry more than the page if another page follows.
    """
    shown = found[:limit]
    return shown, write_cursor(shown[-1].position) if len(found) > limit else None


def read_cursor(cursor: str | None) -> Position:
    """Return the place after which the page begins; NEWEST without a cursor.

    Raises:
        Problem: 400 InvalidCursor.
    """
    if cursor is None:
        return NEWEST

    return _place(_decoded(cursor))


def read_batch_cursor(cursor: str | None) -> Position | None:
    """Return the place after which a page of a batch's images begins; None without a cursor.

    Raises:
        Problem: 400 InvalidCursor, also for a cursor of a list that is sorted by time.
    """
    if cursor is None:
        return None

    match = _BATCH_TEXT.fullmatch(_decoded(cursor))
    if match is None or int(match[2]) > _MAX_INDEX:
        raise _invalid_cursor()

    return Position(_EPOCH, match[1], int(match[2]))


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> str:
    if len(cursor) > MAX_CURSOR_CHARACTERS:
        raise _invalid_cursor()

    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (UnicodeError, binascii.Error) as error:
        raise _invalid_cursor() from error


def _place(text: str) -> Position:
    match = _TEXT.fullmatch(text)
    if match is None or int(match[3]) > _MAX_INDEX:
        raise _invalid_cursor()

    try:
        at = _EPOCH + timedelta(microseconds=int(match[1]))
    except OverflowError as error:
        raise _invalid_cursor() from error

    return Position(at, match[2], int(match[3]))


def _invalid_cursor() -> Problem:
    detail = "The cursor is not one of this list. Start again without a cursor."
    return Problem(400, "InvalidCursor", detail)
