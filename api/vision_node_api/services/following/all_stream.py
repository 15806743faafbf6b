"""The events of all jobs and batches that a client may see, or of those that a filter wants."""

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from ...watch.change_log import ChangeLog, Position, changes_in
from ...web.event_stream import HEARTBEAT, event_text, opening, with_id
from ..owners import visible_owner
from .event_filter import EventFilter
from .followers import Follower, Followers, WhenStopping
from .last_event_id import id_of
from .object_stream import HEARTBEAT_SECONDS
from .states import States

PIECE_BYTES = 32 << 10
"""Number of bytes of events that are sent at a time, unless a single event is larger."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a client has to read the lists again."""

    reason: str
    message: str


TOO_OLD = Loss("VersionTooOld", "Changes since your last event are unknown. Read the lists again.")
MISSED = Loss("ChangesMissed", "Changes may have been missed. Read the lists again.")
UNKNOWN = Loss(
    "VersionUnknown", "The cluster has not reached the id of your last event. Read the lists again."
)


class AllStream:
    """The events of all objects that the client may see.

    Args:
        log: The latest changes.
        followers: Counts and wakes the followers.
        states: Makes the texts of events.
        wanted: Which changes the client wants.
        root_path: Path below which clients reach the API.
    """

    def __init__(
        self,
        log: ChangeLog,
        followers: Followers,
        states: States,
        wanted: EventFilter,
        root_path: str,
    ) -> None:
        self._log = log
        self._followers = followers
        self._states = states
        self._wanted = wanted
        self._root_path = root_path
        self._loss: Loss | None = None
        self._begin_now()

    async def resume(self, since: Position) -> None:
        """Continue where the client's last stream ended.

        Raises:
            KubeError: The API server did not say how far the cluster is.
        """
        self._since = since
        position = self._log.position
        is_ahead = since.jobs > position.jobs or since.batches > position.batches

        if is_ahead and max(since) > await self._states.cluster_version():
            self._lose(UNKNOWN)
        elif not self._log.remembers(since):
            self._lose(TOO_OLD)
        else:
            self._handled = self._log.forgotten

    async def pieces(self, when_stopping: WhenStopping) -> AsyncGenerator[bytes, None]:
        """Yield the events until the replica stops.

        Raises:
            Problem: 429 TooManyFollowers, OwnerShareUsed.
        """
        with self._followers.following(None, when_stopping) as follower:
            yield opening(id_of(self._since))
            follower.wake()

            sent_at = time.monotonic()
            while not follower.is_stopped:
                # Changes that the client does not get must not delay the heartbeat.
                left = sent_at + HEARTBEAT_SECONDS - time.monotonic()
                if left <= 0 or not await follower.is_woken(left):
                    yield HEARTBEAT
                    sent_at = time.monotonic()
                    continue

                async for piece in self._news(follower):
                    yield piece
                    sent_at = time.monotonic()

    async def _news(self, follower: Follower) -> AsyncGenerator[bytes, None]:
        """Yield the changes that have not been handled."""
        if self._loss is None and self._log.has_lost(self._since, self._handled):
            self._lose(MISSED)
        if self._loss is not None:
            yield self._reset(self._loss)
            self._loss = None

        piece = bytearray()
        changes, handled = self._log.since(self._handled), self._log.sequence
        # While a piece is sent, an object may change again, which is sent with the next changes.
        for change in changes_in(changes, self._log):
            if follower.is_stopped:
                return

            self._handled = change.sequence
            is_new = change.version > self._since.of(change.kind)
            is_visible = visible_owner() in (None, change.owner)
            if is_new and is_visible and self._wanted.wants(change):
                text = await self._states.text_of(change, self._root_path)
                event_id = id_of(change.position.at_least(self._since))
                piece += with_id(event_id, text) if text else b""

            if len(piece) >= PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
                if self._log.has_lost(self._since, self._handled):
                    follower.wake()
                    return

        self._handled = handled
        if piece:
            yield bytes(piece)

    def _begin_now(self) -> None:
        self._since = self._log.position
        self._handled = self._log.sequence

    def _lose(self, loss: Loss) -> None:
        self._loss = loss
        self._begin_now()

    def _reset(self, loss: Loss) -> bytes:
        text = event_text("reset", {"reason": loss.reason, "message": loss.message})
        return with_id(id_of(self._since), text)
