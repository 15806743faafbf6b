"""The events of one job, batch or image, until it has ended."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from ...watch.change_log import ChangeLog, Key, Kind
from ...web.event_stream import HEARTBEAT, opening, with_id
from ...web.problems import Problem
from .followers import Followers, WhenStopping
from .states import State, deleted_text, is_missing

HEARTBEAT_SECONDS = 15.0
"""Number of seconds without events after which a comment is sent. Many proxies cut connections on
which nothing is sent for 30 to 60 s."""

IMAGE_SECONDS = 5.0
"""Minimum time between two looks at an image of a batch, in seconds. Each may need a request to the
API server and to the bucket."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What a client follows, and how its state is read."""

    key: Key
    """The object whose changes wake the follower. For an image, it is the batch."""
    read: Callable[[], Awaitable[State]]
    """Returns the current state; raises a Problem with status 404 if there is none."""
    kind: Kind
    name: str
    pause: float = 0
    """Minimum time between two looks in seconds."""


class ObjectStream:
    """The events of one job, batch or image.

    Args:
        log: The latest changes.
        followers: Counts and wakes the followers.
        followed: What the client follows.
        sent: The resourceVersion of the last state that the client has; 0 if it has none.
    """

    def __init__(self, log: ChangeLog, followers: Followers, followed: Followed, sent: int) -> None:
        self._log = log
        self._followers = followers
        self._followed = followed
        self._sent = sent
        self._last_text = b""
        self._handled = log.sequence
        """Number of the last change that has been handled."""
        self._first: State | None = None

    async def open(self) -> bool:
        """Read the first state, and return whether the client needs anything else.

        It does not if it already has the last state.

        Raises:
            Problem: There is no such object, or a dependency is unavailable.
        """
        self._first = await self._followed.read()
        return not (self._first.is_final and 0 < self._first.version <= self._sent)

    async def pieces(self, when_stopping: WhenStopping) -> AsyncGenerator[bytes, None]:
        """Yield the events.

        Raises:
            Problem: 429 TooManyFollowers, OwnerShareUsed; 503 while a dependency is unavailable.
        """
        with self._followers.following(self._followed.key, when_stopping) as follower:
            state = self._first
            yield opening() + self._text(state)

            # A change may have come before the follower was counted.
            follower.wake()
            while not follower.is_stopped and not (state and state.is_final):
                if not await follower.is_woken(HEARTBEAT_SECONDS):
                    yield HEARTBEAT
                    continue

                state = await self._next()
                yield self._text(state)
                if self._followed.pause:
                    await asyncio.sleep(self._followed.pause)

    def _text(self, state: State | None) -> bytes:
        """Return the event for a state; nothing if the client has it or a newer one."""
        if state is None or state.text == self._last_text:
            return b""
        if state.version and state.version <= self._sent:
            return b""

        self._last_text = state.text
        if not state.version:
            return state.text

        self._sent = state.version
        return with_id(state.version, state.text)

    async def _next(self) -> State | None:
        """Return the state after a change; None if there was none.

        A deleted job may be in the history, with a state that the client does not have.
        """
        change = self._log.latest(self._followed.key)
        is_newer = change is not None and change.sequence > self._handled
        if not is_newer and not self._log.was_listed_after(self._handled):
            return None

        self._handled = self._log.sequence
        try:
            return await self._followed.read()
        except Problem as problem:
            if not is_missing(problem):
                raise

        version = max(change.version if change else 0, self._sent + 1)
        text = deleted_text(self._followed.kind, self._followed.name, version)
        return State(text, version, is_final=True)
