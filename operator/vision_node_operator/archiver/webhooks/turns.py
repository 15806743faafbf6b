"""Share attempts out: owners take turns, and within each owner the hosts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

PER_OWNER = 48
"""Maximum number of attempts for the messages of one owner at the same time: three quarters of all,
so that there is always room for others. What has no owner, as without authentication, counts as one
owner."""

PER_HOST = 8
"""Maximum number of attempts at the same host at the same time. A receiver that hangs takes no more
than these, and no other receiver waits for it."""


class Place(NamedTuple):
    """Where messages wait: those of one owner to one host."""

    owner: str
    """Empty for messages without an owner."""
    host: str


@dataclass(frozen=True, slots=True)
class OwnerQueue:
    """The hosts of one owner that a claim looks at, beginning with the host whose turn is next."""

    owner: str
    due: Mapping[str, int]
    """Number of messages that are due, by host. Hosts without such messages have 0."""
    reached: str | None = None
    """The last host, if there are further ones behind it; None if the end was reached."""
    is_complete: bool = True
    """Whether these are all hosts."""


@dataclass(slots=True)
class Rotation:
    """Where the next claim begins, so that all have their turn."""

    after: str | None = None
    """The owner or host after which it begins; None if it begins with the first one."""
    has_more: bool = False
    """Whether the next claim should follow soon, because not all have been looked at."""
    _has_skipped: bool = False
    """Whether a claim had no attempt left for further ones. Then those before the first one of the
    next claim have their turn once the last one is reached."""

    def skip(self) -> None:
        """Note that something must be looked at again once the last one is reached."""
        self._has_skipped = True

    def note(self, reached: str | None, *, is_full: bool, is_complete: bool = False) -> None:
        """Note where a claim has stopped.

        Args:
            reached: The last owner or host that it has looked at; None if that was the last one.
            is_full: Whether it has stopped because no further attempt may begin.
            is_complete: Whether it has looked at all owners or hosts.
        """
        is_pending = reached is not None or (self._has_skipped and not is_complete)
        self.after = reached
        self.has_more = is_pending and not is_full
        self._has_skipped = is_full or (self._has_skipped and reached is not None)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to remember."""
        return self.after is None and not self.has_more and not self._has_skipped


@dataclass(slots=True)
class Shares:
    """The attempts that may begin."""

    wanted: Counter[Place] = field(default_factory=Counter)
    last_host: dict[str, str] = field(default_factory=dict)
    """The last host of each owner that has got an attempt."""
    left_out: set[str] = field(default_factory=set)
    """The owners with messages that are due, but may not begin because too many attempts go on."""
    is_full: bool = False
    """Whether no further attempt of any owner may begin, but some are due."""


def share_out(queues: Sequence[OwnerQueue], running: Mapping[Place, int], free: int) -> Shares:
    """Decide which attempts begin: the next one is always for the owner that has the fewest.

    Args:
        queues: The messages that are due, by owner, beginning with the owner whose turn is next.
        running: Number of attempts that are going on.
        free: Number of further attempts that may begin.
    """
    shares = Shares()
    of_owner: Counter[str] = Counter()
    of_host: Counter[str] = Counter()
    for place, number in running.items():
        of_owner[place.owner] += number
        of_host[place.host] += number

    waiting = {it.owner: _hosts_of(it) for it in queues}
    while waiting:
        owner = min(waiting, key=lambda it: of_owner[it])  # the first one of those with the fewest
        host = _next_host(waiting[owner], of_host)
        if host is None:
            del waiting[owner]
        elif of_owner[owner] >= PER_OWNER or shares.wanted.total() >= free:
            shares.is_full |= shares.wanted.total() >= free
            shares.left_out.add(owner)
            del waiting[owner]
        else:
            of_owner[owner] += 1
            of_host[host] += 1
            shares.wanted[Place(owner, host)] += 1
            shares.last_host[owner] = host

    return shares


def _hosts_of(queue: OwnerQueue) -> Iterator[str]:
    """Yield a host for each message that is due, host by host."""
    for host, number in queue.due.items():
        for _ in range(number):
            yield host


def _next_host(hosts: Iterator[str], running: Mapping[str, int]) -> str | None:
    """Return the next host that may get a further attempt; None if there is none."""
    return next((it for it in hosts if running.get(it, 0) < PER_HOST), None)
