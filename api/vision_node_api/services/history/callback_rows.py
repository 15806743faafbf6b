"""Rows of messages to callbacks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row
from vision_node_contract.history.database import HistoryUnavailableError
from vision_node_contract.history.schema import CALLBACKS_SINCE

_VERSION = "SELECT coalesce(max(version), 0) FROM schema_version"

# A message is added together with the row of its job or batch. So what is archived and has none was
# archived without it. One statement sees both as they were at the same moment.
_FIND = """
    SELECT coalesce(state, CASE WHEN is_archived THEN 'omitted' ELSE 'pending' END) AS state,
        coalesce(attempts, 0) AS attempts, last_error, next_attempt_at, delivered_at
    FROM (SELECT EXISTS (SELECT FROM jobs WHERE jobs.uid = %(uid)s) OR EXISTS (
            SELECT FROM batches WHERE batches.uid = %(uid)s AND finished_at IS NOT NULL
        ) AS is_archived) AS found
    LEFT JOIN deliveries ON deliveries.uid = %(uid)s
"""

# The API may change only these columns: _grants in the archiver's history/migrate.py.
_REDELIVER = """
    UPDATE deliveries SET
        state = 'pending', next_attempt_at = now(),
        attempts = CASE WHEN state = 'pending' THEN attempts ELSE 0 END,
        created_at = CASE WHEN state = 'pending' THEN created_at ELSE now() END
    WHERE uid = %s
"""


@dataclass(frozen=True, slots=True)
class CallbackRow:
    """The state of a message."""

    state: Literal["pending", "delivered", "failed", "omitted"]
    """`pending` also if the job or batch is not archived yet; `omitted` if it was archived by a
    release that sent nothing to callbacks."""
    attempts: int
    last_error: str | None
    next_attempt_at: datetime | None
    delivered_at: datetime | None


async def find_callback(connection: AsyncConnection, uid: str) -> CallbackRow:
    """Return the state of the message about a job or batch that has a callback.

    Raises:
        HistoryUnavailableError: The archiver has not created the table yet.
    """
    await _require_table(connection)

    async with connection.cursor(row_factory=class_row(CallbackRow)) as cursor:
        await cursor.execute(_FIND, {"uid": UUID(uid)})
        (row,) = await cursor.fetchall()
        return row


async def redeliver_callback(connection: AsyncConnection, uid: str) -> CallbackRow:
    """Let the archiver send the message about a job or batch now, and return its new state.

    Attempts and age of a message that was delivered or given up begin again.

    Raises:
        HistoryUnavailableError: The archiver has not created the table yet.
    """
    await _require_table(connection)
    await connection.execute(_REDELIVER, (UUID(uid),))
    return await find_callback(connection, uid)


async def _require_table(connection: AsyncConnection) -> None:
    version = await (await connection.execute(_VERSION)).fetchone()
    if version is None or version[0] < CALLBACKS_SINCE:
        raise HistoryUnavailableError("there is no table of messages yet", "HistoryNotReady")
