"""The worker's loop: follow what is assigned to this pod, attempt each once, finish on SIGTERM."""

import asyncio
import logging
import os
import signal
from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor

from vision_node_contract.imagejob import ImageJob
from vision_node_contract.imagejobs import ImageJobs
from vision_node_contract.kube import Event, Kube, Selectors
from vision_node_contract.store import Store, StoreSettings

from .attempt import Attempts
from .describers import load_or_explain
from .describers.fallback import standing_by
from .lease import keep_lease, withdraw_lease
from .settings import Settings

log = logging.getLogger(__name__)


FINISH_SECONDS = 80.0
"""A little less than the pod's terminationGracePeriodSeconds; what is not finished is requeued."""


class Worker:
    """Attempts each assignment once, however often the watch shows it."""

    def __init__(self, attempts: Attempts, max_images: int = 0) -> None:
        self.used_up = asyncio.Event()
        """Set when it has had all that it may have. The operator counts, too, but may have begun anew."""
        self._attempts = attempts
        self._max_images = max_images
        self._taken = 0
        self._held: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._over: set[tuple[str, int]] = set()
        """Of those held: taken back, or committed already."""

    def take(self, event: Event) -> None:
        """Begin what the event shows to be assigned to us."""
        if event.type == "DELETED":  # committed by us, or taken back
            self._release({body["metadata"]["uid"] for body in event.objects})
            return
        for body in event.objects:
            try:
                job = ImageJob.model_validate(body)
            except ValueError as error:
                log.warning("ImageJob %s can't be read: %s", body["metadata"]["name"], error)
                continue
            key = (job.metadata.uid, job.status.attempts)
            if key in self._held or job.status.error or self._is_full():
                continue  # what is too much comes back to the operator with our end
            self._held[key] = task = asyncio.create_task(self._attempts.attempt(job))
            self._taken += 1
            task.add_done_callback(lambda _, key=key: self._drop(key))  # type: ignore[misc]

    async def finish(self) -> None:
        """Wait for the attempts under way that are still ours, but not longer than the pod is given."""
        if ours := [task for key, task in self._held.items() if key not in self._over]:
            log.info("finishing %d attempts", len(ours))
            await asyncio.wait(ours, timeout=FINISH_SECONDS)

    def _release(self, uids: Set[str]) -> None:
        """Expect nothing more of these attempts; a thread that hangs in a describer can't be ended."""
        self._over |= {key for key in self._held if key[0] in uids}
        self._end_if_used_up()

    def _drop(self, key: tuple[str, int]) -> None:
        del self._held[key]
        self._over.discard(key)
        self._end_if_used_up()

    def _is_full(self) -> bool:
        return 0 < self._max_images <= self._taken

    def _end_if_used_up(self) -> None:
        if self._is_full() and self._held.keys() <= self._over:
            self.used_up.set()


async def run(settings: Settings) -> None:
    """Serve until SIGTERM, then finish what is held."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    executor = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="describe")
    async with Kube.connect("worker") as kube, Store.open(StoreSettings.from_env()) as store:
        imagejobs = ImageJobs(kube, settings.namespace)
        describer = load_or_explain(settings.provider, os.environ)
        fallback = standing_by(os.environ)
        attempts = Attempts(imagejobs, store, describer, executor, settings, fallback)
        worker = Worker(attempts, settings.max_images)
        follow = asyncio.create_task(_follow(kube, imagejobs, settings, worker))
        lease = asyncio.create_task(keep_lease(kube, settings, describer))
        stopped = asyncio.create_task(stop.wait())
        used_up = asyncio.create_task(worker.used_up.wait())
        done, _ = await asyncio.wait({lease, follow, stopped, used_up}, return_when=asyncio.FIRST_COMPLETED)
        follow.cancel()
        lease.cancel()
        await withdraw_lease(kube, settings)
        await worker.finish()
        await describer.close()
        for task in done:
            task.result()  # of lease or follow: the error that ended it, and so ends us


async def _follow(kube: Kube, imagejobs: ImageJobs, settings: Settings, worker: Worker) -> None:
    mine = Selectors(fields=f"status.worker={settings.pod_name},status.phase=processing")
    async for event in kube.follow(imagejobs.path, mine):
        worker.take(event)
