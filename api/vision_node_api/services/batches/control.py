"""Cancel, suspend, resume and delete ImageBatches."""

import logging
from dataclasses import dataclass
from typing import Any

from vision_node_contract.clients.kube import ConflictError, NotFoundError
from vision_node_contract.history.database import HistoryError
from vision_node_contract.models.imagebatch import ImageBatch

from ...web.problems import Problem
from ..dependency_problems import kubernetes_unavailable
from ..history.history_problems import history_problems
from .batches import Batches, batch_problems

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Number of attempts if the ImageBatch is replaced by another one with its name meanwhile."""


@dataclass(frozen=True, slots=True)
class BatchControl:
    """Changes and deletes ImageBatches. Each request may be repeated."""

    batches: Batches

    async def change(self, name: str, spec: dict[str, Any]) -> ImageBatch:
        """Change fields of the spec of an unfinished ImageBatch, and return it.

        Args:
            name: Name of the ImageBatch.
            spec: Merge patch (RFC 7386) of the spec.

        Raises:
            Problem: as for `Batches.get`; 409 BatchFinished.
        """
        cache = self.batches.cache
        for _ in range(ATTEMPTS):
            known = await self._unfinished(name)
            try:
                with batch_problems(name):
                    changed = await cache.client.patch_spec(known.metadata, spec)
            except (ConflictError, NotFoundError):
                continue

            cache.forget(changed)
            if changed.finished:
                raise _finished(changed)
            return changed

        raise kubernetes_unavailable()

    async def delete(self, name: str) -> None:
        """Delete an ImageBatch with its results, whether it is in etcd or only in the history.

        Raises:
            Problem: as for `Batches.get`.
        """
        for _ in range(ATTEMPTS):
            live = await self.batches.live(name)
            if live is None:
                await self._delete_archived(name, None)
                return

            try:
                with batch_problems(name):
                    await self.batches.cache.client.delete(live.metadata)
            except ConflictError:
                continue
            except NotFoundError:  # it has just been evicted, or deleted
                await self._delete_archived(name, live)
            else:
                await self._hide(live)

            self.batches.cache.forget_deleted(live)
            return

        raise kubernetes_unavailable()

    async def _unfinished(self, name: str) -> ImageBatch:
        found = await self.batches.current(name)
        if found.finished:
            raise _finished(found)

        return found

    async def _delete_archived(self, name: str, gone: ImageBatch | None) -> None:
        """Delete an ImageBatch that is only in the history.

        Args:
            name: Name of the ImageBatch.
            gone: The ImageBatch that existed a moment ago. Others with its name are kept.

        Raises:
            Problem: 404 BatchNotFound; 503 with a reason of the history.
        """
        with batch_problems(name):
            found = await self.batches.archived(name)
        history = self.batches.history

        if found is None or history is None:
            if gone is None:
                raise self.batches.not_found()
            return

        if gone is None or gone.metadata.uid == found.metadata.uid:
            with history_problems():
                await history.add_tombstone(found.metadata.uid, is_batch=True)

    async def _hide(self, deleted: ImageBatch) -> None:
        """Hide the row of a finished ImageBatch that has been deleted from etcd.

        The archiver does the same as soon as it sees the deletion. Until then, the batch would be
        found in the history.
        """
        history = self.batches.history
        if history is None or not deleted.finished:
            return

        try:
            await history.add_tombstone(deleted.metadata.uid, is_batch=True)
        except HistoryError as error:
            log.warning("the row of ImageBatch %s is hidden later: %s", deleted.metadata.uid, error)


def _finished(batch: ImageBatch) -> Problem:
    name, phase = batch.metadata.name, batch.status.phase
    detail = f"Batch {name} is {phase}, so it can't be changed. It can be deleted."
    return Problem(409, "BatchFinished", detail, batch_status=phase)
