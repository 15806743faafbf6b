"""Find an earlier job whose result can be reused for a submission."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import KubeError, NotFoundError
from vision_node_contract.history.database import HistoryError
from vision_node_contract.models.imagejob import ImageJob, ImageJobSpec
from vision_node_contract.names import OWNER_LABEL

from ..watch.imagejob_cache import ImageJobCache
from .history.history_rows import JobRow
from .history.reader import HistoryReader
from .time_to_live import job_expires_at

log = logging.getLogger(__name__)

REUSE_SECONDS = 2.0
"""How long a submission may wait for the search for a job to reuse, in seconds. It usually takes a
few milliseconds, and describing the image again takes about a second."""

HISTORY_SECONDS = 0.5
"""The part of it that the history may take, in seconds, so that unfinished jobs are found even
while the database is away."""

MAX_CANDIDATES = 3
"""Maximum number of jobs of each kind to look at. All of them have the same key, so the first one
nearly always fits."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a job must have so that its result can be reused."""

    key: str
    """The value of the label vision-node.dev/reuse-key."""
    spec: ImageJobSpec
    owner: str


@dataclass(frozen=True, slots=True)
class ReusableJobs:
    """Finds jobs that are done or unfinished. Failed ones are not reused."""

    imagejobs: ImageJobClient
    cache: ImageJobCache
    bucket: Bucket
    history: HistoryReader | None
    kept: timedelta | None
    """How long a finished job is kept by default; None means forever."""

    async def find(self, wanted: Wanted) -> ImageJob | None:
        """Return a job whose result can be read now, or else an unfinished one.

        Return None if there is none. If it can't be told in time, None is returned, too: a new job
        costs time, but an error would refuse an image that can be described.
        """
        try:
            async with asyncio.timeout(REUSE_SECONDS):
                return await self._find(wanted)
        except (TimeoutError, KubeError, StoreUnavailableError) as error:
            log.warning("it is unknown whether a job can be reused: %s", error or "too slow")
            return None

    async def _find(self, wanted: Wanted) -> ImageJob | None:
        done = await self._first_live(self.cache.done_for(wanted.key), wanted)
        if done:
            return done

        archived = await self._first_archived(self.history, wanted) if self.history else None
        if archived:
            return archived

        return await self._first_live(self.cache.unfinished_for(wanted.key), wanted)

    async def _first_live(self, names: Iterable[str], wanted: Wanted) -> ImageJob | None:
        for name in islice(names, MAX_CANDIDATES):
            # The watch may lag, so the API server is asked whether the job still exists.
            job = await self._read(name)
            if job and self._fits(job, wanted) and await self._has_result(job):
                return job

        return None

    async def _first_archived(self, history: HistoryReader, wanted: Wanted) -> ImageJob | None:
        """Return a job from the history; None while the history is unavailable."""
        try:
            rows = await history.find_reusable(wanted.key, MAX_CANDIDATES, seconds=HISTORY_SECONDS)
            for row in rows:
                job = _job_of(row)
                if job and self._fits(job, wanted) and await self._is_current(job, history):
                    return job
        except HistoryError as error:
            log.warning("the history can't tell whether a job can be reused: %s", error)

        return None

    async def _is_current(self, job: ImageJob, history: HistoryReader) -> bool:
        """Return whether the job's id means this job, and not a newer one with the same name."""
        name, uid = job.metadata.name, job.metadata.uid
        if live := await self._read(name):
            return live.metadata.uid == uid

        row = await history.find_job(name, seconds=HISTORY_SECONDS)
        return row is not None and str(row.uid) == uid

    def _fits(self, job: ImageJob, wanted: Wanted) -> bool:
        """Return whether a job has what is wanted, and has not expired.

        The label alone does not decide, because whoever may change ImageJobs may also change their
        labels. Images outside of the uploads' folder may have been replaced since they were hashed.
        """
        meta, spec, status = job.metadata, job.spec, job.status
        expires_at = job_expires_at(job, self.kept)
        is_same = (spec.image.sha256, spec.describer, spec.options) == (
            wanted.spec.image.sha256,
            wanted.spec.describer,
            wanted.spec.options,
        )
        is_kept = meta.deletion_timestamp is None and (
            expires_at is None or expires_at > datetime.now(UTC)
        )
        is_by_fallback = status.result is not None and status.result.fallback is not None

        return (
            is_same
            and is_kept
            and not is_by_fallback
            and status.phase != "failed"
            and not (spec.cancel and not job.finished)
            and meta.labels.get(OWNER_LABEL, "") == wanted.owner
            and self.bucket.folders.is_own_image(spec.image.key)
        )

    async def _has_result(self, job: ImageJob) -> bool:
        """Return whether a job is unfinished, or has a result that can be read."""
        stored = job.status.result
        if job.status.phase != "done":
            return True
        if stored is None or stored.inline:
            return stored is not None

        key = self.bucket.folders.own_result_key(job)
        if key is None:
            return False

        try:
            found = await self.bucket.stat(key)
        except ObjectNotFoundError:
            # The archiver may have moved it to the job's row, where it is found next.
            return False

        return stored.size_bytes in (None, found.size_bytes)

    async def _read(self, name: str) -> ImageJob | None:
        """Return an ImageJob from the API server; None if there is none, or it can't be read."""
        try:
            return await self.imagejobs.get(name)
        except NotFoundError:
            return None
        except ValueError as error:
            log.warning("ImageJob %s can't be reused: %s", name, error)
            return None


def _job_of(row: JobRow) -> ImageJob | None:
    """Return the job of a row; None if this version can't read it."""
    try:
        return row.job()
    except ValueError as error:
        log.warning("job %s in the history can't be reused: %s", row.uid, error)
        return None
