"""Run the worker's main loop: attempt each assigned ImageJob once, and finish on SIGTERM."""

import asyncio
import logging
import os
import signal
from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube, Selectors, WatchEvent
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.shard import is_shard

from .attempt import AttemptRunner
from .describe_slots import DescribeSlots
from .describers import load_or_explain
from .describers.fallback import load_fallback
from .describers.imaging.limits import limit_pixels
from .hang_watchdog import HangWatchdog
from .image_describer import ImageDescriber
from .lease import keep_lease, withdraw_lease
from .running_attempt import Assignment, RunningAttempt
from .settings import Settings
from .shards.runner import ShardRunner
from .threads import background_threads

log = logging.getLogger(__name__)


FINISH_SECONDS = 80.0
"""Maximum time to finish after SIGTERM, in seconds. It is slightly less than the pod's
terminationGracePeriodSeconds. The operator requeues ImageJobs that are not finished by then."""


class Worker:
    """Attempts each assignment once, even if the watch reports it several times."""

    def __init__(
        self,
        attempts: AttemptRunner,
        shards: ShardRunner,
        max_images: int = 0,
        timeout_seconds: float = 60.0,
    ) -> None:
        """Create a worker without assignments.

        Args:
            attempts: Makes the attempts at single images.
            shards: Runs shards of ImageBatches.
            max_images: Number of images after which the worker exits. 0 means no limit.
            timeout_seconds: Timeout of an attempt if its ImageJob does not set one.
        """
        self.should_exit = asyncio.Event()
        """Set when the worker is hung or has finished `max_images` assignments. The operator also
        counts assignments, but a restart may have made it lose count."""

        self._attempts = attempts
        self._shards = shards
        self._shards.on_ended = self._on_shard_ended
        self._max_images = max_images
        self._timeout_seconds = timeout_seconds

        self._started_total = 0
        self._running: dict[Assignment, RunningAttempt] = {}
        self._watchdog = HangWatchdog(timeout_seconds, self.should_exit.set)
        self._committed: set[Assignment] = set()
        """Attempts that have ended, but whose commit the watch has not reported yet. Until then,
        the watch may still report older events."""

        self._finishing = False
        self._all_released = asyncio.Event()
        """Set while every running attempt is released, or while no attempt is running."""
        self._all_released.set()

    def handle(self, event: WatchEvent) -> None:
        """Start attempts that a watch event assigns to this worker, and release those that it ends.

        An event ends an attempt if it shows that the ImageJob is no longer assigned to this worker.
        """
        if event.type == "DELETED":  # committed by this worker, or reassigned
            names = {body["metadata"]["name"] for body in event.objects}
            self._release(names)
            self._shards.release(names)
            return

        if event.type == "SYNCED":  # committed or reassigned while the watch was interrupted
            known = self._running.keys() | self._committed
            self._release({assignment.name for assignment in known} - event.names)
            self._shards.release_others(event.names)

        for body in event.objects:
            if is_shard(body):
                if self._is_full():
                    self._shards.close()
                self._shards.handle(body)
                continue

            try:
                job = ImageJob.model_validate(body)
            except ValueError as error:
                log.warning("ImageJob %s can't be read: %s", body["metadata"]["name"], error)
                continue

            self._start(job)

    async def finish(self) -> None:
        """Stop starting attempts, and wait up to FINISH_SECONDS for those still assigned.

        A running shard stops, and commits what has been done.
        """
        self._finishing = True
        self._shards.finish()
        if self._all_released.is_set() and self._shards.idle.is_set():
            return

        unreleased = [attempt for attempt in self._running.values() if not attempt.released]
        log.info("finishing %d attempts", len(unreleased))
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                await self._all_released.wait()
                await self._shards.idle.wait()

    def _start(self, job: ImageJob) -> None:
        assignment = Assignment(job.metadata.name, job.metadata.uid, job.status.attempts)
        for running in self._running.values():
            if running.assignment.name == assignment.name and running.assignment != assignment:
                running.released = True

        if assignment in self._running or assignment in self._committed:
            return
        if job.status.error or self._is_full():
            return  # the operator requeues ImageJobs beyond max_images when this worker exits

        attempt = RunningAttempt(
            assignment,
            task=asyncio.create_task(self._attempts.attempt(job)),
            started_at=asyncio.get_running_loop().time(),
            timeout_seconds=job.spec.timeout_seconds or self._timeout_seconds,
        )
        self._running[assignment] = attempt
        self._started_total += 1
        self._all_released.clear()
        self._watchdog.started(attempt)
        attempt.task.add_done_callback(lambda _: self._on_ended(attempt))

    def _release(self, names: Set[str]) -> None:
        """Mark attempts at these ImageJobs as released, even if their threads are still running."""
        for attempt in self._running.values():
            if attempt.assignment.name in names:
                attempt.released = True

        self._committed = {done for done in self._committed if done.name not in names}
        self._signal_if_all_released()

    def _on_ended(self, attempt: RunningAttempt) -> None:
        self._watchdog.ended(attempt)
        del self._running[attempt.assignment]
        if not attempt.released:
            self._committed.add(attempt.assignment)

        self._signal_if_all_released()

    def _on_shard_ended(self, images: int) -> None:
        self._started_total += images
        if self._is_full():
            self._shards.close()

        self._signal_if_all_released()

    def _is_full(self) -> bool:
        return self._finishing or 0 < self._max_images <= self._started_total

    def _signal_if_all_released(self) -> None:
        if all(attempt.released for attempt in self._running.values()):
            self._all_released.set()
            if self._is_full() and self._shards.idle.is_set():
                self.should_exit.set()


async def run(settings: Settings) -> None:
    """Describe images until SIGTERM, a hang or an error, and then finish running attempts."""
    limit_pixels(settings.max_image_pixels)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    executor = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="describe")
    async with Kube.connect("worker") as kube, Bucket.open(BucketSettings.from_env()) as bucket:
        imagejobs = ImageJobClient(kube, settings.namespace)
        describer = load_or_explain(settings.provider, os.environ)
        fallback = load_fallback(os.environ)
        background = background_threads(settings.concurrency)
        images = ImageDescriber(bucket, describer, executor, settings, fallback, background)
        slots = DescribeSlots(settings.concurrency)
        attempts = AttemptRunner(imagejobs, bucket, images, slots)
        shards = ShardRunner(imagejobs, bucket, images, slots)
        worker = Worker(attempts, shards, settings.max_images, settings.timeout_seconds)

        watch = asyncio.create_task(_watch_assignments(kube, imagejobs, settings, worker))
        lease = asyncio.create_task(keep_lease(kube, settings, describer, lambda: shards.progress))
        exit_events = (stop, worker.should_exit, images.threads.hung)
        exits = {asyncio.create_task(event.wait()) for event in exit_events}
        done, _ = await asyncio.wait({lease, watch, *exits}, return_when=asyncio.FIRST_COMPLETED)

        lease.cancel()
        await withdraw_lease(kube, settings)
        await worker.finish()
        watch.cancel()
        await describer.close()

        for task in done:
            task.result()  # raises the error that ended the lease or the watch


async def _watch_assignments(
    kube: Kube, imagejobs: ImageJobClient, settings: Settings, worker: Worker
) -> None:
    mine = Selectors(fields=f"status.worker={settings.pod_name},status.phase=processing")
    async for event in kube.follow(imagejobs.path, mine):
        worker.handle(event)
