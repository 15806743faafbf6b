"""Read ImageBatches by name."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import ConflictError, KubeError, NotFoundError
from vision_node_contract.models.imagebatch import ImageBatch

from ...settings import Settings
from ...watch.batch_follower import BatchFollower
from ...watch.imagebatch_cache import ImageBatchCache
from ...web.problems import Problem
from ..dependency_problems import kubernetes_unavailable
from ..history.history_problems import history_problems
from ..history.reader import HistoryReader
from ..job_name import is_job_name
from ..owners import is_visible, visible_owner
from ..storage_health import StorageHealth
from .batch_name import owned_name
from .result_stream import ResultQuery, ResultStream
from .results_reader import ResultsReader
from .stream_limit import StreamLimits

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "60"
"""Retry-After, in seconds, while the cluster has no ImageBatches or the API may not read them."""


@contextmanager
def batch_problems(name: str) -> Iterator[None]:
    """Convert errors from requests for an ImageBatch into problems.

    Raises:
        Problem: 502 BatchUnreadable; 503 KubernetesUnavailable.
        ConflictError, NotFoundError: the ImageBatch has been replaced or deleted.
    """
    try:
        yield
    except (ConflictError, NotFoundError):
        raise
    except KubeError as error:
        log.warning("request for ImageBatch %s failed: %s", name, error)
        raise kubernetes_unavailable() from error
    except ValueError as error:
        log.warning("ImageBatch %s can't be read: %s", name, error)
        detail = "This version of the API can't read the ImageBatch. Upgrade the API."
        raise Problem(502, "BatchUnreadable", detail) from error


@dataclass(frozen=True, slots=True)
class Batches:
    """Reads ImageBatches and their results."""

    cache: ImageBatchCache
    follower: BatchFollower
    bucket: Bucket
    storage: StorageHealth
    settings: Settings
    history: HistoryReader | None = None
    """The history; None if the release has no database."""
    limits: StreamLimits = field(default_factory=StreamLimits)

    async def get(self, name: str) -> ImageBatch:
        """Return the ImageBatch with this name: from the cache, the API server or the history.

        Raises:
            Problem: 400 InvalidName; 404 BatchNotFound; 502 BatchUnreadable; 503
                BatchesUnavailable, KubernetesUnavailable, HistoryUnavailable or another reason of
                the history.
        """
        return await self._get(name, is_fresh=False)

    async def name_of(self, given: str) -> str:
        """Return the name of the ImageBatch that a client means.

        It may be the one that the client has chosen, without the hash of the owner.

        Raises:
            Problem: as for `get`, except for 400 and 404.
        """
        names = [given, owned_name(given)]
        if names[0] == names[1] or not is_job_name(given):
            return given

        for name in names:
            try:
                return (await self.get(name)).metadata.name
            except Problem as problem:
                if problem.status not in {400, 404}:
                    raise

        return given

    async def current(self, name: str) -> ImageBatch:
        """Return the ImageBatch with this name: from the API server or the history.

        Raises:
            Problem: as for `get`.
        """
        return await self._get(name, is_fresh=True)

    async def live(self, name: str) -> ImageBatch | None:
        """Return the ImageBatch with this name from the API server; None if it has none.

        Raises:
            Problem: as for `get`, except for the reasons of the history.
        """
        self.require_name(name)
        self.require_watch()

        with batch_problems(name):
            found = await self._find_live(name, is_fresh=True)

        if found is None and not self.follower.listed:
            raise kubernetes_unavailable()
        return found

    def require_watch(self) -> None:
        """Refuse a request that needs ImageBatches if the API can't read them.

        Raises:
            Problem: 503 BatchesUnavailable.
        """
        if self.follower.refusal:
            headers = {"Retry-After": RETRY_AFTER_SECONDS}
            raise Problem(503, "BatchesUnavailable", self.follower.refusal, headers=headers)

    def require_list(self) -> None:
        """Refuse a request that needs all ImageBatches if they have not been listed yet.

        Raises:
            Problem: 503 BatchesUnavailable, KubernetesUnavailable.
        """
        self.require_watch()
        if not self.follower.listed:
            raise kubernetes_unavailable()

    def require_name(self, name: str) -> None:
        """Refuse a name that no ImageBatch can have.

        Raises:
            Problem: 400 InvalidName.
        """
        if not is_job_name(name):
            detail = (
                "This is not the name of an ImageBatch: names consist of lowercase letters, "
                "digits, '-' and '.'."
            )
            raise Problem(400, "InvalidName", detail)

    async def results(self, name: str, query: ResultQuery) -> ResultStream:
        """Return a stream of the results of an ImageBatch. They are read while the stream is read.

        Raises:
            Problem: as for `get`; 422 InvalidAfter, InvalidRequest.
        """
        if query.marks and query.format != "jsonl":
            detail = "marks=true needs format=jsonl: a table has no place for marks."
            raise Problem(422, "InvalidRequest", detail)

        batch = await self.get(name)
        if query.after > batch.index:  # another replica may know more parts
            batch = await self._get(name, is_fresh=True)

        if query.after > batch.index:
            detail = (
                f"The batch has {batch.index} parts with results so far, but `after` is "
                f"{query.after}. If the batch was created again, start with after=0."
            )
            raise Problem(422, "InvalidAfter", detail)

        limits = self.limits
        reader = ResultsReader(batch, self.bucket, self.storage, self._find, limits.chunk_reads)
        return ResultStream(
            reader, self.cache, limits.followers if query.follow else limits.readers, query
        )

    async def _find(self, batch: ImageBatch, *, is_fresh: bool) -> ImageBatch | None:
        """Return the ImageBatch in its current state; None if it has been deleted."""
        try:
            current = await self._get(batch.metadata.name, is_fresh=is_fresh)
        except Problem as problem:
            if problem.status == 404:
                return None
            raise

        return current if current.metadata.uid == batch.metadata.uid else None

    async def _get(self, name: str, *, is_fresh: bool) -> ImageBatch:
        self.require_name(name)
        self.require_watch()

        with batch_problems(name):
            found = await self._find_live(name, is_fresh=is_fresh) or await self.archived(name)

        if found is None:
            raise self.not_found()
        return found

    async def _find_live(self, name: str, *, is_fresh: bool) -> ImageBatch | None:
        cached = None if is_fresh else self.cache.peek(name)
        if cached and is_visible(cached):
            return cached

        # The batch of another owner takes as long as an unknown one.
        try:
            found = await self.cache.read(name)
        except NotFoundError:
            return None
        return found if is_visible(found) else None

    async def archived(self, name: str) -> ImageBatch | None:
        """Return a finished ImageBatch from the history; None if there is none.

        Raises:
            Problem: 503 HistoryUnavailable or another reason of the history.
            ValueError: this version can't read it.
        """
        # Before the first list, the API server may not know ImageBatches at all.
        if self.history is None or not self.follower.listed:
            return None

        with history_problems():
            return await self.history.find_batch(name, visible_owner())

    def not_found(self) -> Problem:
        """Return the problem for a name that the API server does not know.

        Before the first list, it may not know ImageBatches at all.
        """
        if not self.follower.listed:
            return kubernetes_unavailable()

        detail = "No batch has this name. Finished batches are deleted after some time."
        return Problem(404, "BatchNotFound", detail)
