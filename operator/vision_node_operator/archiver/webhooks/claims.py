"""Claim messages that are due, and read what is archived about their jobs.

A claim is a lease: if the archiver dies, the message is sent again once the lease has ended, with
the same id.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from vision_node_contract.callbacks.messages import MAX_RESULT_BYTES
from vision_node_contract.history.schema import SINGLE

from .turns import Place

LEASE_SECONDS = 60
"""How long a claim is valid, in seconds. An attempt takes at most 15, and recording it may wait for
a database that is slow."""

_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT found.id
    FROM unnest(%(owners)s::text[], %(hosts)s::text[], %(numbers)s::int[])
        AS wanted (owner, host, number)
    CROSS JOIN LATERAL (
        SELECT id FROM deliveries
        WHERE state = 'pending' AND deliveries.owner = wanted.owner
            AND deliveries.host = wanted.host AND next_attempt_at <= now()
            AND (claimed_until IS NULL OR claimed_until <= now())
        ORDER BY next_attempt_at
        LIMIT wanted.number
        FOR UPDATE SKIP LOCKED
    ) AS found
)
UPDATE deliveries
SET attempts = attempts + 1, claimed_until = now() + %(lease)s * interval '1 s'
FROM due WHERE deliveries.id = due.id
RETURNING deliveries.id, uid, is_batch, owner, host, url, attempts, now() - created_at AS age
"""

_JOBS = """
SELECT images.uid, body, finished_at,
    CASE WHEN octet_length(result) <= %(limit)s THEN result END AS result
FROM images JOIN jobs USING (uid)
WHERE images.uid = ANY(%(uids)s) AND image_index = %(single)s
"""

_BATCHES = "SELECT uid, body, finished_at, NULL AS result FROM batches WHERE uid = ANY(%(uids)s)"


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is to be sent now, and what is archived about its job or batch."""

    id: UUID
    is_batch: bool
    place: Place
    url: str
    attempts: int
    """Number of attempts, this one included."""
    age: timedelta
    body: str | None
    """The ImageJob or ImageBatch as JSON; None if its row is missing."""
    result: str | None
    """The result of the job as JSON; None if there is none, or if it is too large."""
    ended: datetime | None


async def claim(connection: AsyncConnection, wanted: Mapping[Place, int]) -> list[Claim]:
    """Claim so many messages of each place, or fewer if another archiver has claimed some."""
    values = {
        "owners": [it.owner for it in wanted],
        "hosts": [it.host for it in wanted],
        "numbers": list(wanted.values()),
        "lease": LEASE_SECONDS,
    }
    async with connection.cursor(row_factory=dict_row) as cursor:
        claimed = await (await cursor.execute(_CLAIM, values)).fetchall()

    found = {
        **await _archived(connection, _JOBS, claimed, is_batch=False),
        **await _archived(connection, _BATCHES, claimed, is_batch=True),
    }
    return [_claim(it, found) for it in claimed]


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
        place=Place(row["owner"], row["host"]),
        url=row["url"],
        attempts=row["attempts"],
        age=row["age"],
        body=archived.get("body"),
        result=archived.get("result"),
        ended=archived.get("finished_at"),
    )
