"""Find the jobs that have failed for a reason: those in etcd and those in the history."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile
from uuid import UUID

from vision_node_contract.models.imagejob import ImageJob

from ...watch.imagejob_cache import ImageJobCache
from ..history.cursor import NEWEST, read_cursor
from ..history.history_problems import history_problems
from ..history.history_rows import FailedQuery, Position
from ..history.reader import HistoryReader
from ..jobs import job_not_found, readable

_OLDEST = datetime.min.replace(tzinfo=UTC)
_FIRST_UID = str(UUID(int=0))


@dataclass(frozen=True, slots=True)
class FailedSelection:
    """Which failed jobs a client wants."""

    reason: str
    limit: int
    describer: str | None = None
    after: datetime | None = None
    """The earliest time of creation."""
    before: datetime | None = None
    """Only jobs that were created before this time."""
    cursor: str | None = None
    """Where to continue."""

    @property
    def start(self) -> Position:
        """The place after which the list begins.

        Raises:
            Problem: 400 InvalidCursor.
        """
        place = read_cursor(self.cursor)
        return min(place, Position(self.before, _FIRST_UID)) if self.before else place

    @property
    def since(self) -> datetime:
        """The earliest time of creation."""
        return self.after or _OLDEST


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that has failed."""

    position: Position
    name: str
    live: ImageJob | None = None
    """The job; None if it is only in the history, from where `FailedJobs.load` reads it."""


@dataclass(frozen=True, slots=True)
class FailedJobs:
    """Finds jobs that have failed. Images of batches are left out."""

    cache: ImageJobCache
    history: HistoryReader | None

    async def find(self, wanted: FailedSelection) -> list[FailedJob]:
        """Return up to `wanted.limit` + 1 jobs, from the newest to the oldest.

        Those in etcd are read first: a job is in the history before it leaves etcd, so no job is
        missing.

        Raises:
            Problem: 400 InvalidCursor; 503 HistoryUnavailable or another reason of the history.
        """
        limit, start = wanted.limit + 1, wanted.start
        found = {it.position.uid: it for it in islice(self._live(wanted, start), limit)}
        if self.history:
            query = FailedQuery(wanted.reason, start, wanted.since, wanted.describer)
            with history_problems():
                rows = await self.history.list_failed(query, limit)
            for row in rows:
                found.setdefault(str(row.uid), FailedJob(row.position, row.name))

        return heapq.nlargest(limit, found.values(), key=lambda it: it.position)

    async def load(self, found: FailedJob) -> ImageJob:
        """Return a job that was found.

        Raises:
            Problem: 404 JobNotFound if it has been deleted since; 502 JobUnreadable; 503
                HistoryUnavailable or another reason of the history.
        """
        if found.live:
            return found.live
        if self.history is None:
            raise job_not_found()

        with history_problems():
            row = await self.history.find_result(found.position.uid)
        if row is None:
            raise job_not_found()
        return readable(row)

    def _live(self, wanted: FailedSelection, start: Position) -> Iterator[FailedJob]:
        jobs = self.cache.failed_before(start.at, start.uid, wanted.reason)
        for job in takewhile(lambda it: _created(it) >= wanted.since, jobs):
            if wanted.describer in (None, job.spec.describer):
                position = Position(_created(job), job.metadata.uid)
                yield FailedJob(position, job.metadata.name, job)


def _created(job: ImageJob) -> datetime:
    return job.metadata.creation_timestamp or NEWEST.at
