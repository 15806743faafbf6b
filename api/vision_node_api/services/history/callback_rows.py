"""Rows of messages to callbacks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row
from vision_node_contract.history.database import HistoryUnavailableError
from vision_node_contract.history.schema import CALLBACKS_SINCE

_VERSION = "SELECT coalesce(max(version), 0) FROM schema_version"

_FIND = """
    SELECT state, attempts, last_error, next_attempt_at, delivered_at
    FROM deliveries WHERE uid = %s
"""

# The API may change only these columns: _grants in the archiver's history/migrate.py.
_REDELIVER = """
    UPDATE deliveries SET
        state = 'pending', next_attempt_at = now(),
        attempts = CASE WHEN state = 'pending' THEN attempts ELSE 0 END,
        created_at = CASE WHEN state = 'pending' THEN created_at ELSE now() END
    WHERE uid = %s
    RETURNING state, attempts, last_error, next_attempt_at, delivered_at
"""

_IS_ARCHIVED = """
    SELECT EXISTS (SELECT FROM jobs WHERE uid = %(uid)s)
        OR EXISTS (SELECT FROM batches WHERE uid = %(uid)s AND finished_at IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class CallbackRow:
    """The state of a message."""

    state: Literal["pending", "delivered", "failed"]
    attempts: int
    last_error: str | None
    next_attempt_at: datetime
    delivered_at: datetime | None


class NoMessageError(Exception):
    """A job or batch with a callback was archived without a message."""


async def find_callback(connection: AsyncConnection, uid: str) -> CallbackRow | None:
    """Return the state of the message about a job or batch; None if there is no row of it.

    Raises:
        HistoryUnavailableError: The archiver has not created the table yet.
    """
    return await _row(connection, _FIND, uid)


async def redeliver_callback(connection: AsyncConnection, uid: str) -> CallbackRow | None:
    """Let the archiver send the message about a job or batch now, and return its new state.

    Attempts and age of a message that was delivered or given up begin again.

    Returns:
        None if the job or batch is not archived yet.

    Raises:
        HistoryUnavailableError: The archiver has not created the table yet.
        NoMessageError: It was archived without a message.
    """
    row = await _row(connection, _REDELIVER, uid)
    if row is None:
        found = await (await connection.execute(_IS_ARCHIVED, {"uid": UUID(uid)})).fetchone()
        if found and found[0]:
            raise NoMessageError

    return row


async def _row(
    connection: AsyncConnection, statement: LiteralString, uid: str
) -> CallbackRow | None:
    version = await (await connection.execute(_VERSION)).fetchone()
    if version is None or version[0] < CALLBACKS_SINCE:
        raise HistoryUnavailableError("there is no table of messages yet", "HistoryNotReady")

    async with connection.cursor(row_factory=class_row(CallbackRow)) as cursor:
        await cursor.execute(statement, (UUID(uid),))
        return await cursor.fetchone()
