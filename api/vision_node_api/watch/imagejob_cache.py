"""Cache of the ImageJobs, so that status polls need no requests to the API server.

A job that is not cached is read from the API server, because another replica may have just created
it, or the watch may lag. A cached job may be out of date, but no existing job is reported as
missing.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import NamedTuple

from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.history.usage import UsageCounts, counted
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagejob import TERMINAL, ImageJob, ObjectMeta
from vision_node_contract.names import REUSE_LABEL

from .changes import Changes
from .creation_order import Created, CreationOrder
from .inbox_users import InboxUsers
from .just_created import JustCreated
from .live_usage import LiveUsage
from .own_writes import OwnWrites
from .reuse_index import ReuseIndex

log = logging.getLogger(__name__)

CACHE_BYTES = 80 << 20
"""Maximum memory for cached jobs. It is enough for 24,000 finished jobs of usual size (2.6 kB). The
limit counts bytes, because a job may take up to 20 kB. If it is reached, the oldest finished jobs
are dropped first. Dropped jobs are read from the API server."""

ENTRY_BYTES = 850
"""Memory of a cached job in addition to its text: its name, and its places in a dict, in the order
of lists, in the index by the key for reuse, and in the sums of what owners use."""

_RETRY_OF = re.compile(rb'"retryOf":"([^"]*)"')
"""The name in `spec.retryOf`. A text in the spec can't look like it, because its quotes are
escaped."""

_CREATED = re.compile(rb'"creationTimestamp":"([^"]*)"')

_PARTS = tuple(ImageJob.model_fields)
_METADATA = frozenset(it.alias for it in ObjectMeta.model_fields.values())
"""Names of the metadata fields to cache. Others may be large, such as annotations (256 KiB)."""


class Retry(NamedTuple):
    """An ImageJob that retries another."""

    created_at: datetime
    name: str


class ImageJobCache:
    """Caches ImageJobs as JSON text. Those that are not cached are read from the API server.

    Text takes a sixth of the memory of parsed JSON, and parsing it again for a poll is no slower
    than validating JSON that has already been parsed. Each ImageJob is in at most one of
    `_unfinished`, `_finished` and `_dropped`.
    """

    def __init__(self, imagejobs: ImageJobClient) -> None:
        self._imagejobs = imagejobs
        self._unfinished: dict[str, bytes] = {}
        """Unfinished ImageJobs by name. The text is empty if the ImageJob did not fit."""
        self._finished: dict[str, bytes] = {}
        """Finished ImageJobs by name, from oldest to newest."""
        self._dropped: set[str] = set()
        """Names of the finished ImageJobs that exist but did not fit."""
        self._bytes = 0
        """Memory of all cached ImageJobs."""
        self._created = JustCreated()
        self.usage = LiveUsage()
        """What the ImageJobs use that the watch has reported."""
        self._inbox_users = InboxUsers()
        self._reusable_unfinished = ReuseIndex()
        self._reusable_done = ReuseIndex()
        self._order = CreationOrder()
        self._written = OwnWrites()
        self._changes = Changes()
        self.on_event: Callable[[WatchEvent], None] = lambda _: None
        """Called with each watch event after the cache has been updated."""

    @property
    def unfinished(self) -> int:
        """Number of ImageJobs that are queued or processing."""
        return len(self._unfinished)

    @property
    def total(self) -> int:
        """Number of ImageJobs, finished ones included, whether they are cached or not.

        The names of those that are not cached are kept for this. Hashes of the names would save a
        third of that memory, but only beyond 30,000 ImageJobs, because names in the cache are
        needed anyway.
        """
        return len(self._unfinished) + len(self._finished) + len(self._dropped)

    def unfinished_of(self, owner: str | None) -> UsageCounts:
        """Return the sums over the unfinished jobs of an owner, just created ones included.

        None stands for all owners.
        """
        sums = self.usage.unfinished(owner)
        for job in self._created.of(owner):
            if job.metadata.name not in self.usage:
                sums.images += 1
                sums.bytes += counted(job.spec.image.size_bytes)

        return sums

    def users_of(self, key: str) -> list[str]:
        """Return the names of unfinished ImageJobs whose image is the object `key` under inbox/."""
        return self._inbox_users.of(key)

    def owner_of(self, name: str) -> str:
        """Return to whom an ImageJob belongs; empty if it is unknown or has no owner."""
        return self._order.owner_of(name)

    def done_for(self, reuse_key: str) -> list[str]:
        """Return the names of some cached ImageJobs with this key that are done, newest first."""
        return self._reusable_done.of(reuse_key)

    def unfinished_for(self, reuse_key: str) -> list[str]:
        """Return the names of some unfinished ImageJobs with this key, the newest first."""
        created = [
            job.metadata.name
            for job in self.just_created()
            if job.metadata.labels.get(REUSE_LABEL) == reuse_key
        ]
        return [*reversed(created), *self._reusable_unfinished.of(reuse_key)]

    async def get(self, name: str) -> ImageJob:
        """Return an ImageJob from the cache or, if it is not cached, from the API server.

        Raises:
            NotFoundError: the ImageJob does not exist.
            UnavailableError: the ImageJob is not cached, and the API server is unavailable.
            ValueError: the object is not an ImageJob of this version.
        """
        return self.peek(name) or await self._imagejobs.get(name)

    def peek(self, name: str) -> ImageJob | None:
        """Return an ImageJob if it is cached; otherwise, return None.

        Raises:
            ValueError: the object is not an ImageJob of this version.
        """
        if text := self._unfinished.get(name) or self._finished.get(name):
            return ImageJob.model_validate_json(text)

        return self._created.get(name)

    def changes_of(self, name: str) -> AbstractContextManager[asyncio.Event]:
        """Yield an event that is set whenever the watch reports a change of an ImageJob."""
        return self._changes.of(name)

    def texts_before(
        self, at: datetime, uid: str, owner: str | None
    ) -> Iterator[tuple[Created, bytes]]:
        """Yield the ImageJobs after a place in the list as JSON, from the newest to the oldest.

        Those that did not fit are left out. They are finished, and so in the history.

        Args:
            at: Creation time of the last ImageJob before them.
            uid: Its uid.
            owner: The owner to whom they belong; None or empty for all.
        """
        for entry in self._order.entries_before(at, uid, owner):
            if text := self._unfinished.get(entry.name) or self._finished.get(entry.name):
                yield entry, text

    def retries(self) -> dict[str, Retry]:
        """Return the newest cached ImageJob that retries another, by the other's name."""
        found: dict[str, Retry] = {}
        for name, text in (*self._unfinished.items(), *self._finished.items()):
            retry_of = _RETRY_OF.search(text)
            created = _CREATED.search(text) if retry_of else None
            if retry_of and created:
                it = Retry(datetime.fromisoformat(created[1].decode()), name)
                before = found.get(retry_of[1].decode(), it)
                found[retry_of[1].decode()] = max(it, before)

        return found

    def just_created(self) -> list[ImageJob]:
        """Return the ImageJobs that this replica created but the watch has not reported yet."""
        return self._created.all()

    def add_created(self, job: ImageJob) -> None:
        """Cache an ImageJob that this replica has created."""
        self._created.add(job)

    def add_changed(self, job: ImageJob) -> None:
        """Cache an ImageJob that this replica has changed, as the API server has returned it.

        Events that are older than the change are then ignored, so that no client sees the ImageJob
        in an older state than the response to its request.
        """
        body = job.to_json()
        if self._written.changed(body) and not self._has_newer(body):
            self._remove(job.metadata.name)
            self._add(body)

    def forget_deleted(self, job: ImageJob) -> None:
        """Forget an ImageJob that this replica has deleted, or that it has found to be gone.

        Events that are older than the deletion don't bring it back.
        """
        self._written.deleted(job.to_json())
        try:
            known = self.peek(job.metadata.name)
        except ValueError:
            known = None
        if known is None or known.metadata.uid == job.metadata.uid:
            self._remove(job.metadata.name)

    def _has_newer(self, body: Json) -> bool:
        """Return whether the cached ImageJob is another one, or newer than `body`."""
        try:
            known = self.peek(body["metadata"]["name"])
        except ValueError:
            return False
        if known is None:
            return False

        meta = known.metadata
        is_same = meta.uid == body["metadata"]["uid"]
        return not is_same or int(meta.resource_version) > int(body["metadata"]["resourceVersion"])

    def observe(self, event: WatchEvent) -> None:
        """Update the cache with a watch event."""
        if event.type == "SYNCED":
            known = (*self._unfinished, *self._finished, *self._dropped, *self._changes.names)
            for name in known:
                if name not in event.names:
                    self._remove(name)

        for body in event.objects:
            if event.type != "DELETED" and self._written.is_outdated(body):
                continue

            self._remove(body["metadata"]["name"])
            if event.type != "DELETED":
                self._add(body)

        self.on_event(event)

    def _remove(self, name: str) -> None:
        self._created.remove(name)
        self._dropped.discard(name)
        self._order.remove(name)
        self.usage.remove(name)

        if (text := self._unfinished.pop(name, None)) is not None:
            self._inbox_users.remove(name)
            self._reusable_unfinished.remove(name)
            self._bytes -= _size(text)
        elif text := self._finished.pop(name, None):
            self._reusable_done.remove(name)
            self._bytes -= _size(text)

        self._changes.report(name)

    def _add(self, body: Json) -> None:
        name, text = body["metadata"]["name"], imagejob_text(body)
        self._bytes += _size(text)
        self._order.add(name, body)
        self.usage.add(name, body)

        phase = (body.get("status") or {}).get("phase")
        if phase in TERMINAL:
            self._finished[name] = text
            if phase == "done":
                self._reusable_done.add(name, body)
        else:
            self._unfinished[name] = text
            self._inbox_users.add(name, body)
            self._reusable_unfinished.add(name, body)

        self._drop_finished()
        if self._bytes > CACHE_BYTES and name in self._unfinished:
            self._unfinished[name] = b""
            self._bytes -= len(text)

    def _drop_finished(self) -> None:
        """Drop the oldest finished ImageJobs until the others fit, or none are left."""
        while self._bytes > CACHE_BYTES and self._finished:
            oldest = next(iter(self._finished))
            self._bytes -= _size(self._finished.pop(oldest))
            self._reusable_done.remove(oldest)
            self._dropped.add(oldest)


def imagejob_text(body: Json) -> bytes:
    """Return an ImageJob as JSON text, without the metadata that the API does not use."""
    parts = {part: body[part] for part in _PARTS if part in body}
    parts["metadata"] = {key: it for key, it in body["metadata"].items() if key in _METADATA}
    return json.dumps(parts, separators=(",", ":")).encode()


def _size(text: bytes) -> int:
    return ENTRY_BYTES + len(text)
