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
    version = await (await connection.execute(_VERSION)).fetchone()
    if version is None or version[0] < CALLBACKS_SINCE:
        raise HistoryUnavailableError("there is no table of messages yet", "HistoryNotReady")

    async with connection.cursor(row_factory=class_row(CallbackRow)) as cursor:
        await cursor.execute(_FIND, {"uid": UUID(uid)})
        (row,) = await cursor.fetchall()
        return row
