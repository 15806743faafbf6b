"""Keep all ImageBatches in the cluster, and the order in which they are archived."""

import logging
import time
from collections.abc import Iterator, Set
from datetime import UTC, datetime

from vision_node_contract.clients.kube import backoff
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagebatch import ImageBatch

from .live_batch import LiveBatch

log = logging.getLogger(__name__)

RETRY_SECONDS = (0.5, 60.0)
"""First and longest wait in seconds before a batch is tried again, if the bucket or the API server
is unavailable. The wait doubles with each failure, with full jitter."""


class LiveBatches:
    """The ImageBatches in the cluster, by uid."""

    def __init__(self) -> None:
        self.by_uid: dict[str, LiveBatch] = {}
        self.is_complete = False
        """Whether all ImageBatches have been listed once."""
        self._uids: dict[str, str] = {}
        """Uids by name."""
        self._turns: dict[str, None] = {}
        """Uids of those to archive, in the order of their turns."""

    def observe(self, body: Json, batch: ImageBatch | None) -> str | None:
        """Note that an ImageBatch exists; `batch` is None if this release can't read it.

        Return the uid of an earlier one with the same name, which must have been deleted.
        """
        name, uid = body["metadata"]["name"], body["metadata"]["uid"]
        earlier = self._uids.get(name, uid)
        self._uids[name] = uid
        live = self.by_uid.setdefault(uid, LiveBatch(uid, name))
        if batch is not None:
            live.observe(batch, datetime.now(UTC))

        self.offer(live)
        return earlier if earlier != uid else None

    def offer(self, live: LiveBatch) -> None:
        """Give the batch a turn if it still exists, and something is to be written."""
        if live.has_work and live.uid in self.by_uid:
            self._turns.setdefault(live.uid)

    def remove(self, uid: str) -> LiveBatch | None:
        """Forget a deleted ImageBatch, and return what was known about it."""
        self._turns.pop(uid, None)
        live = self.by_uid.pop(uid, None)
        if live and self._uids.get(live.name) == uid:
            del self._uids[live.name]

        return live

    def missing(self, names: Set[str]) -> list[LiveBatch]:
        """Return those that are not in a complete list with these names."""
        self.is_complete = True
        return [live for live in self.by_uid.values() if live.name not in names]

    @property
    def waiting(self) -> int:
        """Number of batches that are not archived completely."""
        return len(self._turns)

    def next_turn(self) -> LiveBatch | None:
        """Return the batch whose turn it is, and move it to the end; None if none is due."""
        now = time.monotonic()
        for uid in self._turns:
            live = self.by_uid[uid]
            if live.due <= now:
                del self._turns[uid]
                self.offer(live)
                return live

        return None

    def retry(self, live: LiveBatch, error: Exception) -> None:
        """Try the batch again later."""
        pause = backoff(live.failures, *RETRY_SECONDS)
        log.warning(
            "archiving ImageBatch %s failed, trying again in %.1f s: %s", live.name, pause, error
        )
        live.failures += 1
        live.due = time.monotonic() + pause
        self.offer(live)

    def finished(self) -> list[tuple[datetime, LiveBatch]]:
        """Return the finished ones and when they ended, the oldest first."""
        found = [
            (live.finished_at, live)
            for live in self.by_uid.values()
            if live.finished_at and not live.is_deleting
        ]
        return sorted(found, key=lambda it: it[0])

    def refused(self) -> Iterator[LiveBatch]:
        """Yield those whose eviction was refused, so that the mark must be removed."""
        return (live for live in [*self.by_uid.values()] if live.eviction == "unmark")
