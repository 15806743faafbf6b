"""The clients that follow jobs and batches on this replica, and what wakes them."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...watch.change_log import ChangeLog, Key
from ...web.owner_share import OwnerShare
from ...web.problems import Problem

MAX_FOLLOWERS = 1000
"""Maximum number of clients that follow jobs and batches on one replica. Together, they take about
a tenth of the container's memory (docs/performance.md)."""

PACE_SECONDS = 0.1
"""Minimum time between two wake-ups in seconds. Under load, a thousand followers then get several
changes with each piece, instead of taking the CPU time of a core."""

RETRY_AFTER_SECONDS = "10"
"""Retry-After, in seconds, if there are too many followers. Another replica may have room."""


WhenStopping = Callable[[Callable[[], None]], None]
"""Takes a function, and calls it when the replica stops."""


class Follower:
    """A client that waits for changes."""

    def __init__(self) -> None:
        self.is_stopped = False
        """Whether the stream has to end, because the replica stops."""
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Let the follower look for changes."""
        self._woken.set()

    def stop(self) -> None:
        """Let the stream end."""
        self.is_stopped = True
        self._woken.set()

    async def is_woken(self, seconds: float) -> bool:
        """Return whether there may be changes within this time."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False

        self._woken.clear()
        return True


class Followers:
    """Counts followers, refuses those beyond a limit, and wakes those whose object has changed."""

    def __init__(self, log: ChangeLog, limit: int = MAX_FOLLOWERS) -> None:
        self.count = 0
        """Number of followers at present."""
        self.limit = limit
        self.share = OwnerShare(
            limit,
            "follow jobs and batches with {limit} streams of events",
            "Close some, or follow all jobs with a single GET /events.",
            RETRY_AFTER_SECONDS,
        )
        """What one owner may follow."""
        self._waiting: dict[Key | None, set[Follower]] = {}
        """Followers by the object that they follow; None for all objects."""
        self._changed: set[Key | None] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._last_wake = 0.0
        log.notify = self._on_change

    @contextmanager
    def following(self, key: Key | None, when_stopping: WhenStopping) -> Iterator[Follower]:
        """Count a follower of an object, or of all, for the duration of the block.

        It is stopped when the replica stops.

        Raises:
            Problem: 429 TooManyFollowers, OwnerShareUsed.
        """
        with self.share.holding(), self._counted(key) as follower:
            when_stopping(follower.stop)
            yield follower

    @contextmanager
    def _counted(self, key: Key | None) -> Iterator[Follower]:
        if self.count >= self.limit:
            detail = (
                f"This replica already sends events to {self.limit} clients, which is the limit. "
                "Try again later, or poll."
            )
            headers = {"Retry-After": RETRY_AFTER_SECONDS}
            raise Problem(429, "TooManyFollowers", detail, headers=headers)

        follower = Follower()
        self.count += 1
        self._waiting.setdefault(key, set()).add(follower)
        try:
            yield follower
        finally:
            self.count -= 1
            waiting = self._waiting[key]
            waiting.discard(follower)
            if not waiting:
                del self._waiting[key]

    def _on_change(self, key: Key | None) -> None:
        if not self._waiting:
            return

        self._changed.add(key)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            due = max(loop.time(), self._last_wake + PACE_SECONDS)
            self._timer = loop.call_at(due, self._wake)

    def _wake(self) -> None:
        changed, self._changed = self._changed, set()
        self._timer, self._last_wake = None, asyncio.get_running_loop().time()

        keys = list(self._waiting) if None in changed else [None, *changed]
        for key in keys:
            for follower in self._waiting.get(key, ()):
                follower.wake()
