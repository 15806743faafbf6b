"""Run the shards that are assigned to this worker, one at a time."""

import asyncio
import logging
from collections.abc import Callable, Set
from typing import Any

from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.models.imagejob import Stop
from vision_node_contract.models.reasons import Reason
from vision_node_contract.models.shard import Shard

from ..describe_slots import DescribeSlots
from ..image_describer import ImageDescriber
from ..running_attempt import Assignment
from .commit import ShardWriter
from .manifest import ManifestReader
from .shard_run import ShardRun, ShardTools

log = logging.getLogger(__name__)

MAX_WAITING = 4
"""Maximum number of shards that wait for the running one. Usually, the next one is assigned when
the running one has been committed, which the watch may report before the commit is answered."""

CANCELLED = Stop(reason=Reason.CANCELLED, message="the batch was suspended or is ending")


class ShardRunner:
    """Runs each assigned shard once, even if the watch reports it several times."""

    def __init__(
        self,
        imagejobs: ImageJobClient,
        bucket: Bucket,
        images: ImageDescriber,
        slots: DescribeSlots,
    ) -> None:
        manifests = ManifestReader(bucket, images.budgets.files)
        self._tools = ShardTools(bucket, images, manifests, slots)
        self._writer = ShardWriter(imagejobs, bucket, images.settings.pod_name)
        self._waiting: dict[Assignment, Shard] = {}
        self._task: asyncio.Task[None] | None = None
        self._assignment: Assignment | None = None
        self._run: ShardRun | None = None
        self._committed: set[Assignment] = set()
        """Shards that have ended, although the watch has not reported their end yet."""
        self._is_closed = False

        self.idle = asyncio.Event()
        """Set while no shard is running."""
        self.idle.set()
        self.on_ended: Callable[[int], None] = lambda _: None
        """Called with the number of images that have ended when a shard ends."""

    @property
    def progress(self) -> str | None:
        """The running shard's uid and its progress, for the Lease."""
        if self._assignment is None or self._run is None:
            return None
        return f"{self._assignment.uid}/{len(self._run.results)}.{self._run.steps}"

    def handle(self, body: dict[str, Any]) -> None:
        """Start or stop a shard according to an event of the watch."""
        try:
            shard = Shard.model_validate(body)
        except ValueError as error:
            log.warning("shard %s can't be read: %s", body["metadata"]["name"], error)
            return

        new = Assignment(shard.metadata.name, shard.metadata.uid, shard.status.attempts)
        self._release_if(lambda known: known.name == new.name and known != new)
        if new == self._assignment:
            if shard.spec.cancel and self._run:
                self._run.stop(CANCELLED)
            return

        is_over = new in self._committed or shard.status.error is not None
        if is_over or self._is_closed:
            return
        if new not in self._waiting and len(self._waiting) >= MAX_WAITING:
            log.warning("shard %s: too many shards are assigned to this worker", new.name)
            return

        self._waiting[new] = shard
        self._start_next()

    def release(self, names: Set[str]) -> None:
        """Abandon shards that are no longer assigned to this worker, without a commit."""
        self._release_if(lambda known: known.name in names)

    def release_others(self, names: Set[str]) -> None:
        """Abandon all shards except those with these names."""
        self._release_if(lambda known: known.name not in names)

    def close(self) -> None:
        """Start no more shards."""
        self._is_closed = True
        self._waiting.clear()
        if self._task is None:
            self.idle.set()

    def finish(self) -> None:
        """Start no more shards, and stop the running one, which commits its results."""
        self.close()
        if self._run:
            self._run.stop()

    def _release_if(self, is_released: Callable[[Assignment], bool]) -> None:
        self._committed = {it for it in self._committed if not is_released(it)}
        self._waiting = {it: shard for it, shard in self._waiting.items() if not is_released(it)}
        if self._task and self._assignment and is_released(self._assignment):
            self._task.cancel()

    def _start_next(self) -> None:
        if self._task or not self._waiting:
            return

        self._assignment = next(iter(self._waiting))
        shard = self._waiting.pop(self._assignment)
        self._run = ShardRun(shard, self._tools)
        self._task = asyncio.create_task(self._process(shard, self._run))
        self.idle.clear()
        self._task.add_done_callback(self._on_ended)

    async def _process(self, shard: Shard, run: ShardRun) -> None:
        """Describe the images and commit the outcome. Raise no error."""
        try:
            if shard.spec.cancel:
                run.stop(CANCELLED)
            await self._describe_and_commit(shard, run)
        except Exception:
            # The operator assigns the shard to another worker if it makes no progress.
            log.exception("shard %s was abandoned", shard.metadata.name)

    async def _describe_and_commit(self, shard: Shard, run: ShardRun) -> None:
        try:
            await run.run()
        except Exception as error:
            log.exception("shard %s: unexpected error", shard.metadata.name)
            await self._writer.report(shard, error)
        else:
            async with run.storing():
                await self._writer.commit(shard, run)

    def _on_ended(self, task: asyncio.Task[None]) -> None:
        run, assignment = self._run, self._assignment
        self._run = self._assignment = self._task = None
        if assignment and not task.cancelled():
            self._committed.add(assignment)

        if not self._waiting:
            self.idle.set()
        self.on_ended(len(run.results) if run else 0)
        self._start_next()
