"""Write the history: all statements of the archiver.

The archiver is the only writer of all tables except `tombstones`, where the API inserts rows, too.
Each method is one transaction. All raise HistoryUnavailableError while the database is unavailable.
"""

from collections.abc import Collection

from vision_node_contract.history.database import Limits

from .answers import ArchivedBatch, ExpiredJob, Owner, Written
from .archiving import Archiving
from .lifecycle import Lifecycle

__all__ = ["LIMITS", "ArchivedBatch", "ExpiredJob", "HistoryStore", "Owner", "Written"]

LIMITS = Limits(connections=4, statement_seconds=30.0, answer_seconds=60.0)
"""Limits of the archiver's pool. No client waits for its answers, so a transaction with thousands
of images may take seconds, even on a database that is slow at present."""


class HistoryStore(Archiving, Lifecycle):
    """The history of one release. Adding rows needs an owner: claim() comes first."""

    async def named_images(self, keys: Collection[str]) -> set[str]:
        """Return those of these image keys that a job names."""
        # LIMIT keeps the planner from reading the whole table when it misjudges its size.
        rows = await self._fetch(
            "SELECT key FROM unnest(%s::text[]) AS key CROSS JOIN LATERAL"
            " (SELECT FROM jobs WHERE image_key = key LIMIT 1) AS named",
            list(keys),
        )
        return {key for (key,) in rows}

    async def known_uids(self, uids: Collection[str], *, batches: bool = False) -> set[str]:
        """Return those of these uids that have a row in jobs, or in batches."""
        rows = await (
            self._fetch("SELECT uid::text FROM batches WHERE uid = ANY(%s::uuid[])", list(uids))
            if batches
            else self._fetch("SELECT uid::text FROM jobs WHERE uid = ANY(%s::uuid[])", list(uids))
        )
        return {uid for (uid,) in rows}

    async def count(self) -> int:
        """Return the number of rows in images, without counting them."""
        rows = await self._fetch("SELECT coalesce(sum(rows), 0)::bigint FROM chunks")
        return int(rows[0][0])
