"""Cache of the ImageBatches, which a watch keeps up to date.

An ImageBatch that is not cached is read from the API server, because the watch may lag.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.imagebatches import ImageBatchClient
from vision_node_contract.clients.kube import Kube, WatchEvent
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import TERMINAL

from ..web.fair_turns import FairTurns
from .batch_summary import BatchSummary
from .changes import Changes
from .creation_order import CreationOrder
from .imagejob_cache import ENTRY_BYTES, imagejob_text
from .live_usage import owner_of

log = logging.getLogger(__name__)

CACHE_BYTES = 8 << 20
"""Maximum memory for cached ImageBatches. It is enough for a thousand of usual size (3 kB). Those
that changed least recently are dropped first, and are then read from the API server. What lists
show is kept of all of them, and takes about 1 kB each."""

MAX_LOOKUPS = 4
"""Maximum number of simultaneous requests for ImageBatches that are not cached. Any client can ask
for any name, and such a request must not delay submissions."""

_UNUSED = frozenset({"counted", "suspects"})
"""Fields of the status that the API does not use. They may have 12 kB."""


@dataclass(frozen=True, slots=True)
class _Source:
    """The images of an ImageBatch, or the object that lists them."""

    key: str
    is_prefix: bool

    def has(self, key: str, folders: BucketFolders) -> bool:
        """Return whether the object with this complete key belongs to the source."""
        complete = folders.inbox_key(self.key)
        return key.startswith(complete) if self.is_prefix else key == complete


class ImageBatchCache:
    """Caches ImageBatches as JSON text, which takes less memory than parsed JSON."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.client = ImageBatchClient(kube, namespace)
        """Client for the ImageBatches in the cache."""
        self.path = self.client.path
        self._texts: dict[str, bytes] = {}
        """ImageBatches by name, from the least to the most recently changed."""
        self._bytes = 0
        self._sources: dict[str, _Source] = {}
        """The source of each unfinished ImageBatch, by the ImageBatch's name."""
        self._summaries: dict[str, BatchSummary] = {}
        """What lists show of each ImageBatch, by its name."""
        self._unfinished: dict[str, str] = {}
        """The owner of each unfinished ImageBatch, by the ImageBatch's name."""
        self._unfinished_of: Counter[str] = Counter()
        """Number of unfinished ImageBatches by owner."""
        self._order = CreationOrder()
        self._lookups = FairTurns(MAX_LOOKUPS)
        self._changes = Changes()
        self.on_event: Callable[[WatchEvent], None] = lambda _: None
        """Called with each watch event after the cache has been updated."""

    async def get(self, name: str) -> ImageBatch:
        """Return an ImageBatch from the cache or, if it is not cached, from the API server.

        Raises:
            NotFoundError: the ImageBatch does not exist.
            UnavailableError: the ImageBatch is not cached, and the API server is unavailable.
            ValueError: the object is not an ImageBatch of this version.
        """
        return self.peek(name) or await self.read(name)

    def peek(self, name: str) -> ImageBatch | None:
        """Return an ImageBatch if it is cached; otherwise, return None.

        Raises:
            ValueError: the object is not an ImageBatch of this version.
        """
        text = self._texts.get(name)
        return ImageBatch.model_validate_json(text) if text else None

    async def read(self, name: str) -> ImageBatch:
        """Return an ImageBatch from the API server.

        Raises:
            NotFoundError: the ImageBatch does not exist.
            UnavailableError: the API server is unavailable.
            ValueError: the object is not an ImageBatch of this version.
        """
        async with self._lookups:
            return await self.client.get(name)

    def unfinished_of(self, owner: str | None) -> int:
        """Return the number of the owner's unfinished ImageBatches; None for all owners."""
        return len(self._unfinished) if owner is None else self._unfinished_of[owner]

    def users_of(self, key: str, folders: BucketFolders) -> list[str]:
        """Return the names of the unfinished ImageBatches that may use the object `key`, sorted.

        They are those whose folder contains it, and those whose list of images it is. Which images
        such a list names is unknown here.
        """
        return sorted(name for name, source in self._sources.items() if source.has(key, folders))

    def owner_of(self, name: str) -> str:
        """Return to whom an ImageBatch belongs; empty if it is unknown or has no owner."""
        return self._order.owner_of(name)

    def before(self, at: datetime, uid: str, owner: str | None) -> Iterator[BatchSummary]:
        """Yield what lists show of the ImageBatches after a place, from the newest to the oldest.

        Args:
            at: Creation time of the last ImageBatch before them.
            uid: Its uid.
            owner: The owner to whom they belong; None or empty for all.
        """
        for name in self._order.before(at, uid, owner):
            if found := self._summaries.get(name):
                yield found

    def forget(self, batch: ImageBatch) -> None:
        """Read an ImageBatch from the API server the next time, because this replica changed it."""
        self._drop_text(batch.metadata.name)

    def forget_deleted(self, batch: ImageBatch) -> None:
        """Forget an ImageBatch that this replica has deleted."""
        known = self._summaries.get(batch.metadata.name)
        if known is None or known.uid == batch.metadata.uid:
            self._remove(batch.metadata.name)

    def changes_of(self, name: str) -> AbstractContextManager[asyncio.Event]:
        """Yield an event that is set whenever the watch reports a change of an ImageBatch."""
        return self._changes.of(name)

    def observe(self, event: WatchEvent) -> None:
        """Update the cache with a watch event."""
        if event.type == "SYNCED":
            known = self._texts.keys() | self._sources.keys() | self._changes.names
            known |= self._summaries.keys() | self._unfinished.keys()
            for name in known - event.names:
                self._remove(name)

        for body in event.objects:
            self._remove(body["metadata"]["name"])
            if event.type != "DELETED":
                self._add(body)

        self.on_event(event)

    def _remove(self, name: str) -> None:
        self._drop_text(name)
        self._sources.pop(name, None)
        self._summaries.pop(name, None)
        self._order.remove(name)
        self._count_finished(name)

        self._changes.report(name)

    def _count_unfinished(self, name: str, owner: str) -> None:
        self._unfinished[name] = owner
        self._unfinished_of[owner] += 1

    def _count_finished(self, name: str) -> None:
        owner = self._unfinished.pop(name, None)
        if owner is None:
            return

        self._unfinished_of[owner] -= 1
        if not self._unfinished_of[owner]:
            del self._unfinished_of[owner]

    def _drop_text(self, name: str) -> None:
        text = self._texts.pop(name, None)
        self._bytes -= _size(text) if text else 0

    def _add(self, body: Json) -> None:
        name, status = body["metadata"]["name"], body.get("status") or {}
        used = {field: it for field, it in status.items() if field not in _UNUSED}
        text = imagejob_text({**body, "status": used})

        self._texts[name] = text
        self._bytes += _size(text)
        while self._bytes > CACHE_BYTES:
            self._bytes -= _size(self._texts.pop(next(iter(self._texts))))

        self._summarize(name, {**body, "status": used})
        if used.get("phase") in TERMINAL:
            return

        self._count_unfinished(name, owner_of(body))
        if source := _source(body):
            self._sources[name] = source

    def _summarize(self, name: str, body: Json) -> None:
        try:
            summary = BatchSummary.of(ImageBatch.model_validate(body))
        except ValueError as error:
            log.warning("ImageBatch %s can't be listed: %s", name, error)
            return

        self._summaries[name] = summary
        self._order.add(name, body)


def _source(body: Json) -> _Source | None:
    match body.get("spec"):
        case {"prefix": str(prefix)}:
            return _Source(prefix, is_prefix=True)
        case {"manifest": str(key)}:
            return _Source(key, is_prefix=False)
        case _:
            return None


def _size(text: bytes) -> int:
    return ENTRY_BYTES + len(text)
