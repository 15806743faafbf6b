"""The rows of the table deliveries: claim those that are due, and record the outcomes.

No transaction is open while a message is sent. A claim is a lease: if the archiver dies, the
message is sent again once the lease has ended, with the same id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from vision_node_contract.callbacks.messages import MAX_RESULT_BYTES
from vision_node_contract.history.database import Database
from vision_node_contract.history.schema import SINGLE

State = Literal["pending", "delivered", "failed"]

PER_HOST = 8
"""Maximum number of attempts at the same host at the same time. A receiver that hangs takes no more
than these, and no other receiver waits for it."""

HOSTS_AT_ONCE = 256
"""Maximum number of hosts to look at for one claim, which takes a few milliseconds. Further ones
have their turn at the next claim."""

LEASE_SECONDS = 60
"""How long a claim is valid, in seconds. An attempt takes at most 15, and recording it may wait for
a database that is slow."""

MAX_COUNTED = 10_000
"""Number up to which pending messages are counted, so that counting takes a few milliseconds."""

# Hosts take turns, beginning after the one at which the last claim has stopped. The index has the
# hosts in order, so that the backlog of a host is skipped instead of being read. A subquery looks
# up `running`, because a join might change the order of hosts, in which `free` is shared out.
_CLAIM = """
WITH RECURSIVE hosts AS (
    (SELECT host, 1 AS n FROM deliveries
        WHERE state = 'pending' AND host > %(after)s ORDER BY host LIMIT 1)
    UNION ALL
    SELECT following.host, hosts.n + 1
    FROM hosts CROSS JOIN LATERAL (
        SELECT host FROM deliveries
        WHERE state = 'pending' AND deliveries.host > hosts.host ORDER BY host LIMIT 1
    ) AS following
    WHERE hosts.n < %(hosts)s
), due AS MATERIALIZED (
    SELECT found.id, hosts.n
    FROM hosts
    CROSS JOIN LATERAL (
        SELECT id FROM deliveries
        WHERE state = 'pending' AND deliveries.host = hosts.host AND next_attempt_at <= now()
            AND (claimed_until IS NULL OR claimed_until <= now())
        ORDER BY next_attempt_at
        LIMIT greatest(0, %(per_host)s - coalesce((
            SELECT running FROM unnest(%(busy)s::text[], %(running)s::int[]) AS busy (host, running)
            WHERE busy.host = hosts.host), 0))
        FOR UPDATE SKIP LOCKED
    ) AS found
    LIMIT %(free)s
), claimed AS (
    UPDATE deliveries
    SET attempts = attempts + 1, claimed_until = now() + %(lease)s * interval '1 s'
    FROM due WHERE deliveries.id = due.id
    RETURNING deliveries.id, uid, is_batch, host, url, attempts, now() - created_at AS age, due.n
)
SELECT reached.host AS reached_host, reached.n AS looked, claimed.*
FROM (SELECT host, n FROM hosts ORDER BY n DESC LIMIT 1) AS reached LEFT JOIN claimed ON true
"""

_JOBS = """
SELECT images.uid, body, finished_at,
    CASE WHEN octet_length(result) <= %(limit)s THEN result END AS result
FROM images JOIN jobs USING (uid)
WHERE images.uid = ANY(%(uids)s) AND image_index = %(single)s
"""

_BATCHES = "SELECT uid, body, finished_at, NULL AS result FROM batches WHERE uid = ANY(%(uids)s)"

# An attempt that was recorded too late, after another one began, counts only if it succeeded.
_RECORD = """
UPDATE deliveries SET
    state = it.state, claimed_until = NULL, last_status = it.status, last_error = it.error,
    next_attempt_at = now() + it.pause * interval '1 s',
    delivered_at = CASE WHEN it.state = 'delivered' THEN now() END
FROM unnest(%s::uuid[], %s::int[], %s::text[], %s::float8[], %s::int[], %s::text[])
    AS it (id, attempts, state, pause, status, error)
WHERE deliveries.id = it.id AND deliveries.state = 'pending'
    AND (deliveries.attempts = it.attempts OR it.state = 'delivered')
"""

_BACKLOG = """
SELECT (SELECT count(*) FROM (
        SELECT FROM deliveries WHERE state = 'pending' ORDER BY created_at LIMIT %s) AS found),
    (SELECT now() - min(created_at) FROM deliveries WHERE state = 'pending')
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is to be sent now, and what is archived about its job or batch."""

    id: UUID
    is_batch: bool
    host: str
    url: str
    attempts: int
    """Number of attempts, this one included."""
    age: timedelta
    body: str | None
    """The ImageJob or ImageBatch as JSON; None if its row is missing."""
    result: str | None
    """The result of the job as JSON; None if there is none, or if it is too large."""
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of an attempt."""

    id: UUID
    attempts: int
    state: State
    pause: float = 0.0
    """Seconds until the next attempt, if the message is still pending."""
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """The messages that are not delivered yet."""

    count: int
    """Their number, at most MAX_COUNTED."""
    oldest: timedelta
    """The age of the oldest one."""


@dataclass(frozen=True, slots=True)
class _Reached:
    """Where a claim has stopped."""

    host: str
    """The host after which the next claim begins; empty if this one has reached the last host."""
    is_full: bool
    """Whether it has stopped because no further attempt may begin."""


class Deliveries:
    """The messages of one release. All methods raise HistoryUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._after = ""
        """The host at which the last claim has stopped; empty if it has reached the last one."""
        self._has_skipped = False
        """Whether a claim had no attempt left for further hosts. Then those before the first one of
        the next claim have their turn once the last one is reached."""
        self.has_more_hosts = False
        """Whether there are hosts that the last claim had no time to look at."""

    async def claim(self, running: Mapping[str, int], free: int) -> list[Claim]:
        """Claim up to `free` messages that are due.

        Args:
            running: Number of attempts that are going on, by host.
            free: Number of further attempts that may begin.
        """
        values = {
            "after": self._after,
            "hosts": HOSTS_AT_ONCE,
            "busy": list(running),
            "running": list(running.values()),
            "per_host": PER_HOST,
            "free": free,
            "lease": LEASE_SECONDS,
        }

        async def work(connection: AsyncConnection) -> tuple[_Reached, list[Claim]]:
            async with connection.cursor(row_factory=dict_row) as cursor:
                rows = await (await cursor.execute(_CLAIM, values)).fetchall()
                claimed = [it for it in rows if it["id"]]
                found = {
                    **await _archived(connection, _JOBS, claimed, is_batch=False),
                    **await _archived(connection, _BATCHES, claimed, is_batch=True),
                }
            return _reached(rows, claimed, free), [_claim(it, found) for it in claimed]

        reached, claims = await self._database.run(work)
        self._note(reached)
        return claims

    def _note(self, reached: _Reached) -> None:
        """Note where the next claim begins."""
        self._after = reached.host
        self.has_more_hosts = not reached.is_full and (bool(reached.host) or self._has_skipped)
        self._has_skipped = reached.is_full or (self._has_skipped and bool(reached.host))

    async def record(self, attempts: Sequence[Attempt]) -> None:
        """Record the outcomes of attempts."""
        values: list[list[object]] = [
            [it.id for it in attempts],
            [it.attempts for it in attempts],
            [it.state for it in attempts],
            [it.pause for it in attempts],
            [it.status for it in attempts],
            [it.error for it in attempts],
        ]

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_RECORD, values)

        await self._database.run(work)

    async def backlog(self) -> Backlog:
        """Return how many messages are pending, and the age of the oldest."""

        async def work(connection: AsyncConnection) -> Backlog:
            row = await (await connection.execute(_BACKLOG, (MAX_COUNTED,))).fetchone()
            count, oldest = row or (0, None)
            return Backlog(count, oldest or timedelta())

        return await self._database.run(work)


def _reached(rows: list[dict[str, Any]], claimed: list[dict[str, Any]], free: int) -> _Reached:
    if claimed and len(claimed) >= free:
        return _Reached(max(claimed, key=lambda it: it["n"])["host"], is_full=True)

    has_more = bool(rows) and rows[0]["looked"] == HOSTS_AT_ONCE
    return _Reached(rows[0]["reached_host"] if has_more else "", is_full=False)


async def _archived(
    connection: AsyncConnection, query: str, claimed: list[dict[str, Any]], *, is_batch: bool
) -> dict[UUID, dict[str, Any]]:
    """Return what is archived about the jobs or batches of the messages, by uid."""
    uids = [it["uid"] for it in claimed if it["is_batch"] == is_batch]
    if not uids:
        return {}

    values = {"uids": uids, "limit": MAX_RESULT_BYTES, "single": SINGLE}
    async with connection.cursor(row_factory=dict_row) as cursor:
        rows = await (await cursor.execute(query.encode(), values)).fetchall()
    return {it["uid"]: it for it in rows}


def _claim(row: dict[str, Any], found: Mapping[UUID, dict[str, Any]]) -> Claim:
    archived = found.get(row["uid"], {})
    return Claim(
        id=row["id"],
        is_batch=row["is_batch"],
        host=row["host"],
        url=row["url"],
        attempts=row["attempts"],
        age=row["age"],
        body=archived.get("body"),
        result=archived.get("result"),
        ended=archived.get("finished_at"),
    )
