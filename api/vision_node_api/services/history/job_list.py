"""List jobs: those in etcd together with those in the history."""

import heapq
from dataclasses import dataclass, replace

from pydantic import ValidationError
from vision_node_contract.batch_objects import LineError
from vision_node_contract.history.lexemes import query_words
from vision_node_contract.history.records import Excerpt
from vision_node_contract.history.schema import SINGLE
from vision_node_contract.models.imagejob import ImageJob

from ...watch.imagejob_cache import ImageJobCache
from ...web.problems import Problem
from ..owners import narrowed_owner
from .cursor import read_batch_cursor, read_cursor, write_batch_cursor, write_cursor
from .history_problems import history_problems
from .history_rows import ImageRow, Part, Position
from .job_filter import EVERYTHING, JobFilter
from .live_jobs import find_live, position_of
from .reader import HistoryReader
from .search import Search


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which jobs a client wants."""

    limit: int
    cursor: str | None = None
    text: str | None = None
    wanted: JobFilter = EVERYTHING

    @property
    def is_by_index(self) -> bool:
        """Whether the list is sorted by the indexes of a batch's images, and not by time."""
        return self.text is None and self.wanted.batch is not None

    def cursor_after(self, place: Position) -> str:
        """Return the cursor of the page that begins after a place of this list."""
        return write_batch_cursor(place) if self.is_by_index else write_cursor(place)


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job, or an image of a batch, in a list."""

    position: Position
    name: str
    phase: str
    describer: str
    excerpt: Excerpt
    custom_id: str | None = None
    reason: str | None = None
    job: ImageJob | None = None
    """The ImageJob if it is from the cache; None if this is a row of the history."""

    @property
    def is_of_batch(self) -> bool:
        """Whether this is an image of a batch."""
        return self.position.image_index != SINGLE

    @property
    def error(self) -> LineError | None:
        """Why the image has no description."""
        if self.reason is None:
            return None

        return LineError(reason=self.reason, message=self.excerpt.error or "")


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of a list."""

    jobs: list[ListedJob]
    next: str | None
    """The cursor of the next page; None at the end of the list."""


@dataclass(frozen=True, slots=True)
class JobList:
    """Lists jobs from the newest to the oldest, and searches them."""

    cache: ImageJobCache
    history: HistoryReader | None

    async def page(self, query: ListQuery) -> JobPage:
        """Return one page. If the query has a filter, the page may be short although more follow.

        It has only jobs that the client may see.

        Raises:
            Problem: 400 InvalidCursor; 422 QueryWithoutWords; 501 HistoryDisabled; 503 while the
                history is unavailable.
        """
        wanted = replace(query.wanted, owner=narrowed_owner(query.wanted.owner))
        part = await self._part(replace(query, wanted=wanted))
        shown = part.found[: query.limit]
        if len(part.found) > query.limit:
            return JobPage(shown, query.cursor_after(shown[-1].position))

        return JobPage(shown, query.cursor_after(part.reached) if part.reached else None)

    async def _part(self, query: ListQuery) -> Part[ListedJob]:
        limit = query.limit + 1
        if query.is_by_index:
            return await self._of_batch(query, read_batch_cursor(query.cursor), limit)

        start = query.wanted.start(read_cursor(query.cursor))
        if query.text is not None:
            return await self._matching(query, query.text, start, limit)

        return await self._listed(query.wanted, start, limit)

    async def _listed(self, wanted: JobFilter, start: Position, limit: int) -> Part[ListedJob]:
        """Return the jobs in etcd and in the history.

        Those in etcd are read first: a job is in the history before it leaves etcd, so no job is
        missing. Of a job that is in both, the row is used, because the cache may be older.
        """
        live = find_live(self.cache, wanted, start, limit)
        found = {job.position.uid: job for job in map(_live, live.found)}
        reached = [live.reached] if live.reached else []

        if self.history and wanted.wants_finished:
            with history_problems():
                part = await self.history.find_jobs(wanted, start, limit)
            found |= {str(row.uid): _archived(row) for row in part.found}
            reached += [part.reached] if part.reached else []

        # Behind the place that one of the two has reached, jobs may be missing.
        end = max(reached, default=None)
        known = [it for it in found.values() if end is None or it.position >= end]
        return Part(heapq.nlargest(limit, known, key=lambda it: it.position), end)

    async def _of_batch(
        self, query: ListQuery, start: Position | None, limit: int
    ) -> Part[ListedJob]:
        """Return images of a batch that have ended, by their indexes."""
        history = self._require_history("batch")
        if query.wanted.labels or not query.wanted.wants_finished:
            return Part([], None)

        with history_problems():
            part = await history.find_batch_images(query.wanted, start, limit)

        return Part([_archived(row) for row in part.found], part.reached)

    async def _matching(
        self, query: ListQuery, text: str, start: Position, limit: int
    ) -> Part[ListedJob]:
        history = self._require_history("q")
        words = query_words(text)
        if not words:
            detail = "q has no letters and no digits. Search for at least one word."
            raise Problem(422, "QueryWithoutWords", detail)
        if not query.wanted.wants_finished:
            return Part([], None)

        with history_problems():
            search = Search(words, query.wanted.owner, wanted=query.wanted)
            part = await history.search(search, start, limit)

        return Part([_archived(row) for row in part.found], part.reached)

    def _require_history(self, parameter: str) -> HistoryReader:
        if self.history is None:
            detail = (
                f"This release has no database, so it can't look for {parameter}. Leave it out."
            )
            raise Problem(501, "HistoryDisabled", detail)

        return self.history


def _live(job: ImageJob) -> ListedJob:
    meta, status = job.metadata, job.status
    inline = status.result.inline if status.result else None
    error = status.error if status.phase == "failed" else None

    return ListedJob(
        position=position_of(job),
        name=meta.name,
        phase=status.phase,
        describer=job.spec.describer,
        excerpt=Excerpt.of_job(job, inline.to_json() if inline else None),
        reason=error.reason if error else None,
        job=job,
    )


def _archived(row: ImageRow) -> ListedJob:
    return ListedJob(
        position=row.position,
        name=row.name,
        phase=row.phase,
        describer=row.describer,
        excerpt=_excerpt(row),
        custom_id=row.custom_id,
        reason=row.reason,
    )


def _excerpt(row: ImageRow) -> Excerpt:
    """Return what a row has to show; nothing if this version can't read it.

    One unreadable row must not hide all other jobs of its page.
    """
    try:
        return Excerpt.model_validate_json(row.excerpt)
    except ValidationError:
        return Excerpt()
