"""The worker's loop: follow what is assigned to this pod, attempt each once, finish on SIGTERM."""

import asyncio
import logging
import signal
from concurrent.futures import ThreadPoolExecutor

from vision_node_contract.imagejob import ImageJob
from vision_node_contract.imagejobs import ImageJobs
from vision_node_contract.kube import Event, Kube, Selectors
from vision_node_contract.store import Store, StoreSettings

from .attempt import Attempts
from .describers import load
from .lease import keep_lease, withdraw_lease
from .settings import Settings

log = logging.getLogger(__name__)


FINISH_SECONDS = 80.0
"""A little less than the pod's terminationGracePeriodSeconds; what is not finished is requeued."""


class Worker:
    """Attempts each assignment once, however often the watch shows it."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._held: dict[tuple[str, int], asyncio.Task[None]] = {}

    def take(self, event: Event) -> None:
        """Begin what the event shows to be assigned to us."""
        if event.type == "DELETED":  # committed by us, or taken back: the attempt finds out itself
            return
        for body in event.objects:
            try:
                job = ImageJob.model_validate(body)
            except ValueError as error:
                log.warning("ImageJob %s can't be read: %s", body["metadata"]["name"], error)
                continue
            key = (job.metadata.uid, job.status.attempts)
            if key in self._held or job.status.error:
                continue
            self._held[key] = task = asyncio.create_task(self._attempts.attempt(job))
            task.add_done_callback(lambda _, key=key: self._held.pop(key))  # type: ignore[misc]

    async def finish(self) -> None:
        """Wait for the attempts under way, but not longer than the pod is given."""
        if self._held:
            log.info("finishing %d attempts", len(self._held))
            _, late = await asyncio.wait(self._held.values(), timeout=FINISH_SECONDS)
            for task in late:
                task.cancel()


async def run(settings: Settings) -> None:
    """Serve until SIGTERM, then finish what is held."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    executor = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="describe")
    async with Kube.connect("worker") as kube, Store.open(StoreSettings.from_env()) as store:
        imagejobs = ImageJobs(kube, settings.namespace)
        worker = Worker(Attempts(imagejobs, store, load(settings.describer), executor, settings))
        follow = asyncio.create_task(_follow(kube, imagejobs, settings, worker))
        lease = asyncio.create_task(keep_lease(kube, settings))
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({lease, follow, stopped}, return_when=asyncio.FIRST_COMPLETED)
        follow.cancel()
        lease.cancel()
        await withdraw_lease(kube, settings)
        await worker.finish()
        for task in done:
            task.result()  # of lease or follow: the error that ended it, and so ends us


async def _follow(kube: Kube, imagejobs: ImageJobs, settings: Settings, worker: Worker) -> None:
    mine = Selectors(fields=f"status.worker={settings.pod_name},status.phase=processing")
    async for event in kube.follow(imagejobs.path, mine):
        worker.take(event)
