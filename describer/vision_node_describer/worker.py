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
from .lease import keep_lease
from .settings import Settings

log = logging.getLogger(__name__)


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
            job = ImageJob.model_validate(body)
            key = (job.metadata.uid, job.status.attempts)
            if key in self._held or job.status.error:
                continue
            self._held[key] = task = asyncio.create_task(self._attempts.attempt(job))
            task.add_done_callback(lambda _, key=key: self._held.pop(key))  # type: ignore[misc]

    async def finish(self) -> None:
        """Wait for the attempts under way."""
        if self._held:
            log.info("finishing %d attempts", len(self._held))
            await asyncio.wait(self._held.values())


async def run(settings: Settings) -> None:
    """Serve until SIGTERM, then finish what is held."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    store = Store(StoreSettings.from_env())
    executor = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="describe")
    async with Kube.connect() as kube:
        imagejobs = ImageJobs(kube, settings.namespace)
        describer = load(settings.describer)
        worker = Worker(Attempts(imagejobs, store, describer, executor, settings))
        lease = asyncio.create_task(keep_lease(kube, settings))
        follow = asyncio.create_task(_follow(kube, imagejobs, settings, worker))
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({lease, follow, stopped}, return_when=asyncio.FIRST_COMPLETED)
        follow.cancel()
        await worker.finish()
        lease.cancel()
        for task in done:
            task.result()  # of lease or follow: the error that ended it, and so ends us


async def _follow(kube: Kube, imagejobs: ImageJobs, settings: Settings, worker: Worker) -> None:
    mine = Selectors(fields=f"status.worker={settings.pod_name},status.phase=processing")
    async for event in kube.follow(imagejobs.path, mine):
        worker.take(event)
