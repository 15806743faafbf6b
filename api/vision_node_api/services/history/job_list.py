"""List jobs: those in etcd together with those in the history."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from pydantic import ValidationError
from vision_node_contract.batch_objects import LineError
from vision_node_contract.history.lexemes import query_words
from vision_node_contract.history.records import Excerpt
from vision_node_contract.history.schema import SINGLE
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.names import OWNER_LABEL

from ...watch.imagejob_cache import ImageJobCache
from ...web.problems import Problem
from .cursor import NEWEST, page_of, read_cursor
from .history_problems import history_problems
from .history_rows import ImageRow, Position
from .reader import HistoryReader
from .search import Search


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which jobs a client wants."""

    limit: int
    cursor: str | None = None
    text: str | None = None
    owner: str | None = None


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
    """The cursor of the next page; None on the last page."""


@dataclass(frozen=True, slots=True)
class JobList:
    """Lists jobs from the newest to the oldest, and searches them."""

    cache: ImageJobCache
    history: HistoryReader | None

    async def page(self, query: ListQuery) -> JobPage:
        """Return one page.

        Raises:
            Problem: 400 InvalidCursor; 422 QueryWithoutWords; 501 HistoryDisabled; 503 while the
                history is unavailable.
        """
        before = read_cursor(query.cursor)
        if query.text is None:
            found = await self._listed(before, query.owner, query.limit + 1)
        else:
            found = await self._matching(query.text, before, query)

        jobs, following = page_of(found, query.limit)
        return JobPage([*jobs], following)

    async def _listed(self, before: Position, owner: str | None, limit: int) -> list[ListedJob]:
        """Return the jobs in etcd and in the history.

        Those in etcd are read first: a job is in the history before it leaves etcd, so no job is
        missing. Of a job that is in both, the row is used, because the cache may be older.
        """
        found = {job.position.uid: job for job in self._live(before, owner, limit)}
        if self.history:
            with history_problems():
                rows = await self.history.list_jobs(before, owner, limit)
            found |= {str(row.uid): _archived(row) for row in rows}

        return heapq.nlargest(limit, found.values(), key=lambda it: it.position)

    def _live(self, before: Position, owner: str | None, limit: int) -> Iterator[ListedJob]:
        jobs = self.cache.before(before.at, before.uid, owner)
        yield from map(_live, islice(jobs, limit))

        for job in self.cache.just_created():
            meta = job.metadata
            is_wanted = not owner or meta.labels.get(OWNER_LABEL) == owner
            if is_wanted and meta.creation_timestamp and _live(job).position[:2] < before[:2]:
                yield _live(job)

    async def _matching(self, text: str, before: Position, query: ListQuery) -> list[ListedJob]:
        if self.history is None:
            detail = "This release has no database, so there is nothing to search. Leave out q."
            raise Problem(501, "HistoryDisabled", detail)

        words = query_words(text)
        if not words:
            detail = "q has no letters and no digits. Search for at least one word."
            raise Problem(422, "QueryWithoutWords", detail)

        with history_problems():
            rows = await self.history.search(Search(words, query.owner), before, query.limit + 1)

        return [_archived(row) for row in rows]


def _live(job: ImageJob) -> ListedJob:
    meta, status = job.metadata, job.status
    inline = status.result.inline if status.result else None
    error = status.error if status.phase == "failed" else None

    return ListedJob(
        position=Position(meta.creation_timestamp or NEWEST.at, meta.uid),
        name=meta.name,
        phase=status.phase,
        describer=job.spec.describer,
        excerpt=Excerpt.of_job(job, inline.to_json() if inline else None),
        reason=error.reason if error else None,
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
