"""The rows of the table deliveries: claim those that are due, and record the outcomes.

No transaction is open while a message is sent.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from psycopg import AsyncConnection
from vision_node_contract.history.database import Database

from .claims import Claim, claim
from .due import OWNERS_AT_ONCE, owners_after, queues_of
from .turns import OwnerQueue, Place, Rotation, Shares, share_out

State = Literal["pending", "delivered", "failed"]

MAX_COUNTED = 10_000
"""Number up to which pending messages are counted, so that counting takes a few milliseconds."""

MAX_ROTATIONS = 10_000
"""Maximum number of owners with many hosts for which it is known whose turn is next. They take 2
MB. For an owner that is forgotten, the hosts begin with the first one again."""

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
class _Look:
    """What a claim has looked at, and what it has taken."""

    queues: list[OwnerQueue]
    reached: str | None
    """The last owner, if there are further ones behind it; None if the end was reached."""
    shares: Shares


class Deliveries:
    """The messages of one release. All methods raise HistoryUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owners = Rotation()
        self._hosts: OrderedDict[str, Rotation] = OrderedDict()
        """Where each owner's next host is. Owners are missing whose hosts are all looked at."""

    @property
    def has_more(self) -> bool:
        """Whether there are owners or hosts that the last claim had no time to look at."""
        return self._owners.has_more

    async def claim(self, running: Mapping[Place, int], free: int) -> list[Claim]:
        """Claim up to `free` messages that are due.

        Args:
            running: Number of attempts that are going on, by owner and host.
            free: Number of further attempts that may begin.
        """

        async def work(connection: AsyncConnection) -> tuple[_Look, list[Claim]]:
            look = await self._look(connection, running, free)
            return look, await claim(connection, look.shares.wanted) if look.shares.wanted else []

        look, claims = await self._database.run(work)
        self._note(look)
        return claims

    async def _look(
        self, connection: AsyncConnection, running: Mapping[Place, int], free: int
    ) -> _Look:
        later, earlier = await owners_after(connection, self._owners.after)
        owners = [*later, *earlier]
        after = {it: self._hosts[it].after or "" for it in owners if it in self._hosts}
        queues = await queues_of(connection, owners, after, free)

        reached = later[-1] if len(later) == OWNERS_AT_ONCE else None
        return _Look(queues, reached, share_out(queues, running, free))

    def _note(self, look: _Look) -> None:
        """Note where the next claim begins."""
        shares = look.shares
        has_all = len(look.queues) < OWNERS_AT_ONCE
        for queue in look.queues:
            if self._note_hosts(queue, shares):
                self._owners.skip()
                has_all = False

        served = [it.owner for it in look.queues if it.owner in shares.last_host]
        reached = served[-1] if shares.is_full else look.reached
        self._owners.note(reached, is_full=shares.is_full, is_complete=has_all)

    def _note_hosts(self, queue: OwnerQueue, shares: Shares) -> bool:
        """Note with which host of an owner the next claim begins.

        Return whether that claim should follow soon.
        """
        rotation = self._hosts.pop(queue.owner, Rotation())
        is_full = queue.owner in shares.left_out
        last = shares.last_host.get(queue.owner, rotation.after)
        rotation.note(
            last if is_full else queue.reached, is_full=is_full, is_complete=queue.is_complete
        )

        if not rotation.is_idle:
            self._hosts[queue.owner] = rotation
            if len(self._hosts) > MAX_ROTATIONS:
                self._hosts.popitem(last=False)
        return rotation.has_more

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
