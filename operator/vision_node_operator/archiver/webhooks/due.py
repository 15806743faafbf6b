"""Find out which messages are due, without reading the backlog of each owner and host."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection

from .turns import PER_HOST, OwnerQueue

OWNERS_AT_ONCE = 32
"""Maximum number of owners to look at for one claim. Further ones have their turn at the next."""

HOSTS_AT_ONCE = 256
"""Maximum number of hosts to look at for one claim, those of all owners together, which takes a few
milliseconds. Further ones have their turn at the next claim."""

# The index has the owners in order, and their hosts. So the backlog of an owner or a host is
# skipped instead of being read (a loose index scan).
_OWNERS = """
WITH RECURSIVE owners AS (
    (SELECT owner, 1 AS n FROM deliveries
        WHERE state = 'pending' AND (%(after)s::text IS NULL OR owner > %(after)s)
        ORDER BY owner LIMIT 1)
    UNION ALL
    SELECT following.owner, owners.n + 1
    FROM owners CROSS JOIN LATERAL (
        SELECT owner FROM deliveries
        WHERE state = 'pending' AND deliveries.owner > owners.owner
        ORDER BY owner LIMIT 1
    ) AS following
    WHERE owners.n < %(limit)s
)
SELECT owner FROM owners WHERE %(until)s::text IS NULL OR owner <= %(until)s ORDER BY n
"""

_HOSTS = """
WITH RECURSIVE hosts AS (
    SELECT part.owner, found.host, part.until, part.size, 1 AS n
    FROM unnest(%(owners)s::text[], %(after)s::text[], %(until)s::text[], %(sizes)s::int[])
        AS part (owner, after, until, size)
    CROSS JOIN LATERAL (
        SELECT host FROM deliveries
        WHERE state = 'pending' AND deliveries.owner = part.owner AND host > part.after
        ORDER BY host LIMIT 1
    ) AS found
    UNION ALL
    SELECT hosts.owner, following.host, hosts.until, hosts.size, hosts.n + 1
    FROM hosts CROSS JOIN LATERAL (
        SELECT host FROM deliveries
        WHERE state = 'pending' AND deliveries.owner = hosts.owner AND deliveries.host > hosts.host
        ORDER BY host LIMIT 1
    ) AS following
    WHERE hosts.n < hosts.size
)
SELECT owner, host, (SELECT count(*) FROM (
    SELECT FROM deliveries
    WHERE state = 'pending' AND deliveries.owner = hosts.owner AND deliveries.host = hosts.host
        AND next_attempt_at <= now() AND (claimed_until IS NULL OR claimed_until <= now())
    LIMIT %(most)s) AS due)
FROM hosts WHERE until IS NULL OR host <= until ORDER BY n
"""


@dataclass(frozen=True, slots=True)
class _Part:
    """Some hosts of an owner, in their order."""

    owner: str
    after: str
    """The host after which they begin; empty for the first one."""
    until: str | None
    """The last host; None if there may be further ones."""
    size: int
    """Maximum number of hosts."""


async def owners_after(
    connection: AsyncConnection, after: str | None
) -> tuple[list[str], list[str]]:
    """Return owners with pending messages: those after one, and those from the first one up to it.

    There are OWNERS_AT_ONCE at most. If there are fewer, these are all.
    """
    later = await _owners(connection, after, None, OWNERS_AT_ONCE)
    left = OWNERS_AT_ONCE - len(later)
    if after is None or not left:
        return later, []

    return later, await _owners(connection, None, after, left)


async def queues_of(
    connection: AsyncConnection, owners: Sequence[str], after: Mapping[str, str], free: int
) -> list[OwnerQueue]:
    """Return what is due of some owners, in their order.

    Args:
        connection: A connection in a transaction.
        owners: The owners.
        after: The host after which to begin, by owner; the first one for those that are missing.
            Behind the last host, the first one follows.
        free: Number of attempts that may begin.
    """
    size = max(1, HOSTS_AT_ONCE // max(1, len(owners)))
    later = [_Part(it, after.get(it, ""), None, size) for it in owners]
    due = await _due(connection, later, free)
    reached = {owner: list(hosts)[-1] for owner, hosts in due.items() if len(hosts) == size}

    earlier = [
        _Part(it, "", after[it], size - len(due[it]))
        for it in owners
        if it in after and it not in reached
    ]
    for owner, hosts in (await _due(connection, earlier, free)).items():
        due[owner] |= hosts

    return [
        OwnerQueue(it, due[it], reached.get(it), is_complete=len(due[it]) < size) for it in owners
    ]


async def _due(
    connection: AsyncConnection, parts: Sequence[_Part], free: int
) -> dict[str, dict[str, int]]:
    """Return how many messages are due, by owner and host."""
    found: dict[str, dict[str, int]] = {it.owner: {} for it in parts}
    if not parts:
        return found

    values = {
        "owners": [it.owner for it in parts],
        "after": [it.after for it in parts],
        "until": [it.until for it in parts],
        "sizes": [it.size for it in parts],
        "most": min(PER_HOST, free),
    }
    for owner, host, number in await (await connection.execute(_HOSTS, values)).fetchall():
        found[owner][host] = number
    return found


async def _owners(
    connection: AsyncConnection, after: str | None, until: str | None, limit: int
) -> list[str]:
    values = {"after": after, "until": until, "limit": limit}
    return [it[0] for it in await (await connection.execute(_OWNERS, values)).fetchall()]
