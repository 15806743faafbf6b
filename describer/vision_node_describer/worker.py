"""The worker's loop: follow what is assigned to this pod, attempt each once, finish on SIGTERM."""

import asyncio
import logging
import os
import signal
from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube, Selectors, WatchEvent
from vision_node_contract.models.imagejob import ImageJob

from .attempt import SHARE_OF_ATTEMPT, Attempts
from .describers import load_or_explain
from .describers.fallback import standing_by
from .describers.imaging.picture import limit_pixels
from .lease import keep_lease, withdraw_lease
from .settings import Settings

log = logging.getLogger(__name__)


FINISH_SECONDS = 80.0
"""A little less than the pod's terminationGracePeriodSeconds; what is not finished is requeued."""


class Assignment(NamedTuple):
    """One attempt at one ImageJob."""

    name: str
    uid: str
    attempt: int


class Worker:
    """Attempts each assignment once, however often the watch shows it."""

    def __init__(
        self, attempts: Attempts, max_images: int = 0, timeout_seconds: float = 60.0
    ) -> None:
        self.useless = asyncio.Event()
        """Set when it has had all that it may have (the operator counts, too, but may have begun
        anew), or when it hangs."""
        self._attempts = attempts
        self._max_images = max_images
        self._timeout_seconds = timeout_seconds
        self._taken = 0
        self._ended = 0
        """Attempts that ended in time. Timed-out ones don't count: they may have waited for hung
        threads."""
        self._held: dict[Assignment, asyncio.Task[None]] = {}
        self._looks: dict[Assignment, asyncio.TimerHandle] = {}
        """The next look at whether it hangs."""
        self._begun: dict[Assignment, float] = {}
        """When, by the event loop's clock (seconds)."""
        self._allowed: dict[Assignment, float] = {}
        """Timeout of each attempt in seconds: the ImageJob's, or the Describer's."""
        self._patience: dict[Assignment, float] = {}
        """Seconds that each may take: its Describer's, or its ImageJob's own if they are more."""
        self._over: set[Assignment] = set()
        """Of those held: taken back, or committed already."""
        self._committed: set[Assignment] = set()
        """Held no more; the watch has not shown it yet, but may still show what was before."""
        self._finishing = False
        self._settled = asyncio.Event()
        """Set while all that is held is over."""
        self._settled.set()

    def take(self, event: WatchEvent) -> None:
        """Begin what the event shows to be assigned to us."""
        if event.type == "DELETED":  # committed by us, or taken back
            self._release({body["metadata"]["name"] for body in event.objects})
            return

        if event.type == "SYNCED":  # the same, while nobody watched
            self._release(
                {known.name for known in self._held.keys() | self._committed} - event.names
            )

        for body in event.objects:
            try:
                job = ImageJob.model_validate(body)
            except ValueError as error:
                log.warning("ImageJob %s can't be read: %s", body["metadata"]["name"], error)
                continue

            self._begin(job)

    async def finish(self) -> None:
        """Begin no more; wait for the attempts that are still ours, but not longer than the pod is given."""
        self._finishing = True
        if not self._settled.is_set():
            log.info("finishing %d attempts", len(self._held.keys() - self._over))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), FINISH_SECONDS)

    def _begin(self, job: ImageJob) -> None:
        new = Assignment(job.metadata.name, job.metadata.uid, job.status.attempts)
        self._over |= {held for held in self._held if held.name == new.name and held != new}
        if new in self._held.keys() | self._committed or job.status.error or self._is_full():
            return  # what is too much comes back to the operator with our end

        self._held[new] = task = asyncio.create_task(self._attempts.attempt(job))
        self._begun[new] = asyncio.get_running_loop().time()
        self._allowed[new] = job.spec.timeout_seconds or self._timeout_seconds
        self._patience[new] = max(self._timeout_seconds, self._allowed[new])
        self._taken += 1
        self._settled.clear()
        self._look_later(new)
        task.add_done_callback(lambda _: self._drop(new))

    def _release(self, names: Set[str]) -> None:
        """Expect nothing more of these attempts; a thread that hangs in a describer can't be ended."""
        self._over |= {held for held in self._held if held.name in names}
        self._committed = {done for done in self._committed if done.name not in names}
        self._settle()

    def _drop(self, done: Assignment) -> None:
        self._looks.pop(done).cancel()
        took = asyncio.get_running_loop().time() - self._begun[done]
        self._ended += took < SHARE_OF_ATTEMPT * self._allowed[done]
        del self._held[done], self._begun[done], self._allowed[done], self._patience[done]
        if done not in self._over:
            self._committed.add(done)

        self._over.discard(done)
        self._settle()

    def _look_later(self, held: Assignment, excuses: frozenset[Assignment] | None = None) -> None:
        after = asyncio.get_running_loop().call_later
        self._looks[held] = after(self._patience[held], self._look, held, self._ended, excuses)

    def _look(
        self, held: Assignment, ended_before: int, excuses: frozenset[Assignment] | None
    ) -> None:
        """End when nothing has ended for as long as the Describer allows, not even what was taken back.

        Where its ImageJob's timeout was longer, that counts. Where it was shorter, the operator
        sees only that it was missed, which may be a user's impatience. What is still ours and has
        been in work for a while explains why nothing ended, but not the next time when it has not
        ended well by then, either.
        """
        if held not in self._over or self._ended != ended_before:
            self._look_later(held)
            return

        since = asyncio.get_running_loop().time() - self._timeout_seconds / 2
        slow = {ours for ours in self._held.keys() - self._over if self._begun[ours] < since}
        if explained := frozenset(slow if excuses is None else slow & excuses):
            self._look_later(held, explained)
        else:
            log.error(
                "the worker hangs: ImageJob %s takes more than %g s",
                held.name,
                self._patience[held],
            )
            self.useless.set()

    def _is_full(self) -> bool:
        return self._finishing or 0 < self._max_images <= self._taken

    def _settle(self) -> None:
        if self._held.keys() <= self._over:
            self._settled.set()
            if self._is_full():
                self.useless.set()


async def run(settings: Settings) -> None:
    """Serve until SIGTERM, then finish what is held."""
    limit_pixels(settings.max_image_pixels)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    executor = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="describe")
    async with Kube.connect("worker") as kube, Bucket.open(BucketSettings.from_env()) as store:
        imagejobs = ImageJobClient(kube, settings.namespace)
        describer = load_or_explain(settings.provider, os.environ)
        fallback = standing_by(os.environ)
        attempts = Attempts(imagejobs, store, describer, executor, settings, fallback)
        worker = Worker(attempts, settings.max_images, settings.timeout_seconds)
        follow = asyncio.create_task(_follow(kube, imagejobs, settings, worker))
        lease = asyncio.create_task(keep_lease(kube, settings, describer))
        ends = {asyncio.create_task(end.wait()) for end in (stop, worker.useless, attempts.hangs)}
        done, _ = await asyncio.wait({lease, follow, *ends}, return_when=asyncio.FIRST_COMPLETED)
        lease.cancel()
        await withdraw_lease(kube, settings)
        await worker.finish()
        follow.cancel()
        await describer.close()
        for task in done:
            task.result()  # of lease or follow: the error that ended it, and so ends us


async def _follow(
    kube: Kube, imagejobs: ImageJobClient, settings: Settings, worker: Worker
) -> None:
    mine = Selectors(fields=f"status.worker={settings.pod_name},status.phase=processing")
    async for event in kube.follow(imagejobs.path, mine):
        worker.take(event)
