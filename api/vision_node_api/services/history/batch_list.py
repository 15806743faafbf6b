"""List ImageBatches: those in etcd together with those in the history."""

import heapq
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from vision_node_contract.models.imagejob import Phase

from ...watch.batch_summary import BatchSummary
from ...watch.imagebatch_cache import ImageBatchCache
from ..owners import narrowed_owner
from .cursor import NEWEST, page_of, read_cursor
from .history_problems import history_problems
from .history_rows import BatchQuery, BatchRow, Position
from .reader import HistoryReader

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchListQuery:
    """Which ImageBatches a client wants."""

    limit: int
    cursor: str | None = None
    phase: Phase | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class BatchPage:
    """One page of a list."""

    batches: list[BatchSummary]
    next: str | None
    """The cursor of the next page; None on the last page."""


@dataclass(frozen=True, slots=True)
class _Listed:
    position: Position
    summary: BatchSummary | None
    """None if this version can't read the row."""


@dataclass(frozen=True, slots=True)
class BatchList:
    """Lists ImageBatches from the newest to the oldest."""

    cache: ImageBatchCache
    history: HistoryReader | None

    async def page(self, query: BatchListQuery) -> BatchPage:
        """Return one page. It has only batches that the client may see.

        Raises:
            Problem: 400 InvalidCursor; 503 while the history is unavailable.
        """
        query = replace(query, owner=narrowed_owner(query.owner))
        found = await self._listed(read_cursor(query.cursor), query)
        shown, following = page_of(found, query.limit)
        return BatchPage([it.summary for it in shown if it.summary], following)

    async def _listed(self, before: Position, query: BatchListQuery) -> list[_Listed]:
        """Return the ImageBatches in etcd and in the history, one more than the page has.

        Those in etcd are read first: a finished batch is in the history before it leaves etcd, so
        none is missing. Of one that is in both, the row is used, because the cache may be older.
        """
        limit = query.limit + 1
        live = islice(self._live(before, query), limit)
        found = {it.position.uid: it for it in live}
        if self.history and query.phase not in {"queued", "processing"}:
            with history_problems():
                rows = await self.history.list_batches(_rows_of(query, before, limit))
            found |= {it.position.uid: it for it in map(_archived, rows)}

        return heapq.nlargest(limit, found.values(), key=lambda it: it.position)

    def _live(self, before: Position, query: BatchListQuery) -> Iterator[_Listed]:
        for summary in self.cache.before(before.at, before.uid, query.owner):
            if query.phase in {None, summary.phase}:
                yield _Listed(Position(summary.created_at or NEWEST.at, summary.uid), summary)


def _rows_of(query: BatchListQuery, before: Position, limit: int) -> BatchQuery:
    ended: dict[str | None, Literal["done", "failed"]] = {"done": "done", "failed": "failed"}
    return BatchQuery(before, limit, ended.get(query.phase), query.owner)


def _archived(row: BatchRow) -> _Listed:
    """Return an archived ImageBatch. One unreadable row must not hide the others of its page."""
    try:
        summary = BatchSummary.of(row.batch())
    except ValueError as error:
        log.warning("ImageBatch %s in the history can't be listed: %s", row.uid, error)
        return _Listed(row.position, None)

    return _Listed(row.position, summary)
