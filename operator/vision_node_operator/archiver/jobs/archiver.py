"""Write finished ImageJobs to the history."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.kube import KubeError, backoff
from vision_node_contract.history.database import HistoryError
from vision_node_contract.history.records import CONTENT_ERRORS, ImageRow, JobRow
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagejob import ImageJob

from ..bounded import each
from ..counts import JobCounts
from ..history.holds import Work
from ..history.link import HistoryLink
from ..history.store import HistoryStore
from .archive_queue import ArchiveQueue, Entry
from .job_reader import JobReader
from .large_results import bytes_to_read, read_result
from .live_jobs import Content, LiveJobs

log = logging.getLogger(__name__)

RETRY_SECONDS = (0.5, 10.0)
"""First and longest wait in seconds if the bucket or the API server is unavailable."""

MAX_RESULT_BYTES = 16 << 20
"""Maximum size of all results from the bucket that are read for one transaction, in bytes."""

ROWS_AT_ONCE = 20
"""Number of rows that are made before other tasks may run. Each takes up to a millisecond."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """An ImageJob that can be archived."""

    entry: Entry
    content: Content

    @property
    def job(self) -> ImageJob:
        """The ImageJob."""
        return self.content.job


Row = tuple[ImageRow, JobRow]


class Archiver:
    """Archives ImageJobs in groups. An ImageJob that can't be read holds up no others.

    Those whose results are in the bucket are archived beside the others.
    """

    def __init__(
        self,
        store: HistoryStore,
        link: HistoryLink,
        live: LiveJobs,
        reader: JobReader,
        bucket: Bucket,
    ) -> None:
        self._store = store
        self._link = link
        self.live = live
        self.reader = reader
        self._bucket = bucket
        self.queue = ArchiveQueue()
        self.counts = JobCounts()
        self.archived = asyncio.Event()
        """Set after each group."""

    async def run(self) -> None:
        """Archive until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for is_stored in (False, True):
                tasks.create_task(self._run(is_stored=is_stored))

    async def _run(self, *, is_stored: bool) -> None:
        """Archive ImageJobs whose results are, or are not, in the bucket."""
        failures = 0
        while True:
            await self.queue.filled(is_stored=is_stored)
            await self._link.allowed(Work.ARCHIVE)

            entries = self.queue.take(is_stored=is_stored)
            try:
                later = await self._archive(entries)
            except HistoryError as error:
                self._link.report(error)
                later = []
            finally:
                self.queue.give_back(entries)

            failures = failures + 1 if later else 0
            if later:
                pause = backoff(failures - 1, *RETRY_SECONDS)
                log.warning("%d ImageJobs are archived later: %s", len(later), later[0])
                await asyncio.sleep(pause)

    async def _archive(self, entries: list[Entry]) -> list[Exception]:
        """Archive a group; return the errors of those that have to be tried again.

        The caller gives back to the queue what is still in flight afterward.
        """
        new = await self._without_archived(entries)
        loaded = [Loaded(it, it.content) for it in new if it.content]
        missing = [it for it in new if not it.content]
        found = await each(self._load, missing)
        loaded += [it for it in found if isinstance(it, Loaded)]
        self.queue.done(it.uid for it, got in zip(missing, found, strict=True) if got is None)
        errors = [it for it in found if isinstance(it, Exception)]

        for group in _groups(loaded, self._bucket):
            errors += await self._write(group)

        return errors

    async def _without_archived(self, entries: list[Entry]) -> list[Entry]:
        """Return the entries without those that have rows."""
        old = [it.uid for it in entries if it.may_be_archived]
        known = await self._store.known_uids(old) if old else set()
        self._note_archived(known)

        return [it for it in entries if it.uid not in known]

    async def _load(self, entry: Entry) -> "Loaded | Exception | None":
        """Read the ImageJob; return an error if that failed, or None if it need not be archived."""
        try:
            body = await self.reader.get(entry.name, entry.uid)
            job = ImageJob.model_validate(body) if body else None
        except ValidationError:
            return None  # the watch has logged and counted it
        except KubeError as error:
            return error

        return Loaded(entry, Content(job, body)) if job and body and job.finished else None

    async def _write(self, group: list[Loaded]) -> list[Exception]:
        results = await each(self._read, group)
        rows: list[Row] = []
        now, uids = datetime.now(UTC), []
        for it, result in zip(group, results, strict=True):
            if isinstance(result, Exception):
                continue
            row = self._row(it, result, now)
            if row is None:
                self.queue.done([it.entry.uid])
                continue
            uids.append(it.entry.uid)
            rows.append(row)
            if len(rows) % ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)

        if rows:
            newest = max(int(it.job.metadata.resource_version) for it in group)
            written = await self._store.add_jobs(rows, newest)
            self.counts.archived += written.rows
            self.counts.refused += written.refused
            self._note_archived(uids)

        return [it for it in results if isinstance(it, Exception)]

    async def _read(self, loaded: Loaded) -> Json | Exception | None:
        try:
            return await read_result(self._bucket, loaded.job, loaded.content.body)
        except StoreUnavailableError as error:
            return error

    def _row(self, loaded: Loaded, result: Json | None, now: datetime) -> Row | None:
        """Return the row of an ImageJob; None if none can be made, so that it stays in etcd.

        A describer may return anything as its result.
        """
        try:
            image = ImageRow.of_job(loaded.job, loaded.content.body, result, now)
        except CONTENT_ERRORS as error:
            self.counts.unreadable += 1
            name, kind = loaded.entry.name, type(error).__name__
            log.warning("ImageJob %s is not archived, because of its content: %s", name, kind)
            return None

        in_row = result is not None
        return image, JobRow.of(loaded.job, self._bucket.folders, now, in_row=in_row)

    def _note_archived(self, uids: Iterable[str]) -> None:
        noted = list(uids)
        self.queue.done(noted)
        self.live.archived.update(uid for uid in noted if self.live.get(uid))
        if noted:
            self.archived.set()


def _groups(loaded: list[Loaded], bucket: Bucket) -> Iterator[list[Loaded]]:
    """Yield groups whose results fit into memory together."""
    group: list[Loaded] = []
    size = 0
    for it in loaded:
        more = bytes_to_read(it.job, bucket.folders)
        if group and size + more > MAX_RESULT_BYTES:
            yield group
            group, size = [], 0
        group.append(it)
        size += more

    if group:
        yield group
