"""Follow all ImageJobs of the namespace.

The watch is not filtered, because a filtered one reports each ImageJob that stops matching as
deleted. It waits for neither the database nor the bucket.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Protocol

from pydantic import ValidationError
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.kube import Kube, WatchEvent
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagejob import TERMINAL, ImageJob
from vision_node_contract.names import BATCH_LABEL, PLURAL, path_of

from ..counts import JobCounts
from ..endless_watch import watch
from .live_jobs import Content, LiveJob, LiveJobs

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""How long changes are left to accumulate, in seconds. Each image has four or five, and handling
each of them at once would take most of the archiver's CPU time. Rows still appear within two
seconds. If the sockets' buffers can't hold the changes, the API server ends the watch, which then
continues where it has ended."""


class Observer(Protocol):
    """What happens when ImageJobs finish and are deleted."""

    def finished(self, job: LiveJob, content: Content, *, is_new: bool) -> None:
        """Handle a finished ImageJob. `is_new` says whether it has just finished or changed."""

    def deleted(self, job: LiveJob, *, is_seen: bool) -> None:
        """Handle an ImageJob that is gone. `is_seen` says whether its deletion was seen."""

    def was_evicted(self, uid: str) -> bool:
        """Return whether an ImageJob that is gone was evicted, so that its data stays."""
        ...

    def listed(self, version: int, known: int) -> None:
        """Handle the end of a complete list, and the newest resourceVersion known before it."""


class ImageJobWatch:
    """Keeps LiveJobs up to date, and tells an observer what has happened."""

    def __init__(
        self, kube: Kube, namespace: str, live: LiveJobs, folders: BucketFolders, counts: JobCounts
    ) -> None:
        self.path = path_of(PLURAL, namespace)
        self._kube = kube
        self._live = live
        self._folders = folders
        self._counts = counts
        self._unreadable: set[str] = set()
        """The uids of ImageJobs that this release can't read. All of them are in LiveJobs."""

    async def run(self, observer: Observer) -> None:
        """Watch until cancelled."""
        async for event in watch(self._kube, self.path, "ImageJobs", PAUSE_SECONDS):
            self.observe(event, observer)
            if event.type == "PAGE":
                await asyncio.sleep(0)

    def observe(self, event: WatchEvent, observer: Observer) -> None:
        """Handle an event."""
        if event.type == "SYNCED":
            self._synced(event, observer)
            return

        for body in event.objects:
            if BATCH_LABEL not in (body["metadata"].get("labels") or {}):
                self._observe_job(event, body, observer)

    def _synced(self, event: WatchEvent, observer: Observer) -> None:
        version, known = int(event.version or "0"), self._live.newest_version
        gone = self._live.keep_only(event.names)
        self._live.newest_version = version

        # First the list: it may show that etcd was restored, so that these were not deleted.
        observer.listed(version, known)
        self._live.synced.set()
        for job in gone:
            observer.deleted(job, is_seen=False)

    def _observe_job(self, event: WatchEvent, body: Json, observer: Observer) -> None:
        if event.type == "DELETED":
            self._observe_deleted(body, observer)
            return

        job, content = self._read(body, event.size)
        is_known = job.uid in self._live.archived
        gone = self._live.put(job)
        if gone is not None:
            observer.deleted(gone, is_seen=False)

        if content and not job.is_deleting and not is_known:
            observer.finished(job, content, is_new=event.type != "PAGE")

    def _observe_deleted(self, body: Json, observer: Observer) -> None:
        uid = body["metadata"]["uid"]
        self._unreadable.discard(uid)
        # The watch has reported all changes before the deletion, so what is known is the latest.
        known = self._live.drop(uid)
        if not observer.was_evicted(uid):
            observer.deleted(known or self._read(body, 0)[0], is_seen=True)

    def _read(self, body: Json, size: int) -> tuple[LiveJob, Content | None]:
        """Return what to remember, and the content of a finished ImageJob."""
        status = body.get("status")
        parts = status if isinstance(status, dict) else {}
        is_finished = parts.get("phase") in TERMINAL
        if not is_finished and not parts.get("result"):
            return LiveJob.unfinished(body, self._folders), None

        try:
            job = ImageJob.model_validate(body)
        except ValidationError as error:
            return self._without_content(body, error, is_finished=is_finished), None

        live = LiveJob.of(job, self._folders, datetime.now(UTC))
        return live, Content(job, body, size) if is_finished else None

    def _without_content(self, body: Json, error: ValidationError, *, is_finished: bool) -> LiveJob:
        job = LiveJob.unreadable(body)
        if is_finished and job.uid not in self._unreadable:
            self._unreadable.add(job.uid)
            self._counts.unreadable += 1
            # Not the whole message, because it quotes descriptions.
            places = {".".join(map(str, it["loc"])) for it in error.errors()}
            text = "ImageJob %s is not archived, because this release can't read it: %s"
            log.warning(text, job.name, ", ".join(sorted(places)))

        return job
