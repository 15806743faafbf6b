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

_FIND = """
    SELECT state, attempts, last_error, next_attempt_at, delivered_at
    FROM deliveries WHERE uid = %s
"""


@dataclass(frozen=True, slots=True)
class CallbackRow:
    """The state of a message."""

    state: Literal["pending", "delivered", "failed"]
    attempts: int
    last_error: str | None
    next_attempt_at: datetime
    delivered_at: datetime | None


async def find_callback(connection: AsyncConnection, uid: str) -> CallbackRow | None:
    """Return the state of the message about a job or batch; None if there is no row of it.

    Raises:
        HistoryUnavailableError: The archiver has not created the table yet.
    """
    version = await (await connection.execute(_VERSION)).fetchone()
    if version is None or version[0] < CALLBACKS_SINCE:
        raise HistoryUnavailableError("there is no table of messages yet", "HistoryNotReady")

    async with connection.cursor(row_factory=class_row(CallbackRow)) as cursor:
        await cursor.execute(_FIND, (UUID(uid),))
        return await cursor.fetchone()
