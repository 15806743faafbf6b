"""Export all jobs of a list, page by page, with bounded memory."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vision_node_contract.batch_objects import ResultLine
from vision_node_contract.models.imagejob import ImageJob

from ...web.problems import Problem
from ..batches.stream_limit import StreamLimit
from .history_problems import history_problems
from .history_rows import FullRow
from .job_filter import EVERYTHING, JobFilter
from .job_list import JobList, ListedJob, ListQuery

MAX_EXPORTS = 4
"""Maximum number of exports at the same time. Each takes up to ROWS_AT_ONCE MiB, and a few times as
much while it is converted."""

PAGE_JOBS = 200
"""Number of jobs to look for at a time. The database is not in use while a client receives them."""

ROWS_AT_ONCE = 10
"""Number of rows to read at a time. Each may have a result of 1 MiB."""

KEEP_ALIVE_SECONDS = 15.0
"""Number of seconds without jobs after which something is sent that readers skip. Many proxies cut
connections on which nothing is sent for 30 to 60 s."""


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """Which jobs to export."""

    limit: int | None = None
    """Maximum number of jobs; None for all."""
    cursor: str | None = None
    """Where to continue: the cursor of the last job that the client has."""
    text: str | None = None
    wanted: JobFilter = EVERYTHING

    def page(self, cursor: str | None, sent: int) -> ListQuery:
        """Return the query for the next jobs, after some have been sent."""
        left = PAGE_JOBS if self.limit is None else min(PAGE_JOBS, self.limit - sent)
        return ListQuery(left, cursor, self.text, self.wanted)


@dataclass(frozen=True, slots=True)
class ExportedJob:
    """A job, or an image of a batch, with everything that is known of it without the bucket."""

    listed: ListedJob
    cursor: str
    """Continues behind this job."""
    job: ImageJob | None = None
    """The ImageJob; None for an image of a batch, or if this version can't read it."""
    line: ResultLine | None = None
    """The image of a batch with its result, if the history has it."""


class ExportEncoder(Protocol):
    """Converts jobs to text."""

    start: bytes
    """What a response without a cursor begins with."""
    keep_alive: bytes
    """What is sent while no job is found. Readers skip it."""

    def encode(self, job: ExportedJob) -> bytes:
        """Return the line of a job."""
        ...


@dataclass(frozen=True, slots=True)
class JobExport:
    """Exports jobs."""

    job_list: JobList
    streams: StreamLimit = field(default_factory=lambda: StreamLimit(MAX_EXPORTS, "exports"))

    async def pieces(
        self, query: ExportQuery, encoder: ExportEncoder
    ) -> AsyncGenerator[bytes, None]:
        """Yield the lines of all jobs, the newest first, in pieces.

        Raises:
            Problem: 400 InvalidCursor; 422 QueryWithoutWords; 429 TooManyStreams, OwnerShareUsed;
                501 HistoryDisabled; 503 while the history is unavailable. Its member `cursor` says
                where to resume, unless nothing has been sent.
        """
        sent_at, reached = time.monotonic(), query.cursor
        start = b"" if query.cursor else encoder.start

        with self.streams.streaming():
            try:
                async for jobs in self._found(query):
                    if jobs:
                        # Not on its own, so that a problem can still be the response.
                        yield start + b"".join(map(encoder.encode, jobs))
                        start, sent_at, reached = b"", time.monotonic(), jobs[-1].cursor
                    elif time.monotonic() - sent_at >= KEEP_ALIVE_SECONDS:
                        yield start + encoder.keep_alive
                        start, sent_at = b"", time.monotonic()
            except Problem as problem:
                problem.extensions["cursor"] = reached
                raise

            if start:
                yield start

    async def _found(self, query: ExportQuery) -> AsyncIterator[Sequence[ExportedJob]]:
        """Yield a few jobs at a time; none if a page has none."""
        cursor, sent = query.cursor, 0
        while query.limit is None or sent < query.limit:
            wanted = query.page(cursor, sent)
            page = await self.job_list.page(wanted)
            for first in range(0, len(page.jobs), ROWS_AT_ONCE):
                few = page.jobs[first : first + ROWS_AT_ONCE]
                yield await self._complete(wanted, few)

            sent, cursor = sent + len(page.jobs), page.next
            if cursor is None:
                return
            yield ()

    async def _complete(self, query: ListQuery, few: Sequence[ListedJob]) -> list[ExportedJob]:
        """Return jobs with their rows. Those that have been deleted meanwhile are left out."""
        rows: dict[tuple[str, int], FullRow] = {}
        archived = [it.position for it in few if it.job is None]
        if archived and self.job_list.history:
            with history_problems():
                found = await self.job_list.history.read_rows(archived)
            rows = {row.key: row for row in found}

        return [
            _exported(it, query.cursor_after(it.position), rows.get(it.position[1:]))
            for it in few
            if it.job or it.position[1:] in rows
        ]


def _exported(listed: ListedJob, cursor: str, row: FullRow | None) -> ExportedJob:
    if row is None:
        return ExportedJob(listed, cursor, listed.job)

    try:
        if listed.is_of_batch:
            return ExportedJob(listed, cursor, line=row.as_batch_image.any_line())
        return ExportedJob(listed, cursor, row.as_job.job())
    except ValueError:
        # One unreadable row must not end the export.
        return ExportedJob(listed, cursor)
