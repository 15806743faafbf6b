"""The operator's loop: after each change, decide from the whole state, and start the actions.

The loop is level-based. It decides from the state alone, so the next round makes up for a lost
event, a failed write or a crash.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from vision_node_contract.clients.kube import Kube, KubeError, backoff
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.shard import is_shard

from ..decisions.actions import Cordon
from ..decisions.decide import decide
from ..decisions.expiry import is_nearly_full
from ..settings import Settings
from ..state.describer_registry import DescriberRegistry
from ..state.job_queue import JobQueue
from ..state.object_versions import Kind, ObjectKey, version_of
from ..state.state import State
from ..state.statistics.durations import ROUND_SECONDS, Durations
from .clock import utcnow
from .executor import ActionExecutor
from .freshness import GRACE, Freshness, Heartbeat
from .garbage_collector import GarbageCollector
from .object_lists import ObjectLists
from .writer import Writer

T = TypeVar("T")

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
"""Maximum time between rounds. No event occurs when a deadline, backoff or idle time ends."""

RESYNC_SECONDS = 300.0
"""Interval at which objects are listed again, because a watch may have missed events."""

UNAVAILABLE_SECONDS = (0.2, 2.0)
"""Initial and longest pause between attempts while the API server is unavailable. They are short,
so that decisions resume soon after an outage."""

START_SECONDS = (0.2, 5.0)
"""Initial and longest pause between attempts while the operator starts, with full jitter."""


WARNING_SECONDS = 600.0
"""Interval between warnings while the archiver does not remove finished ImageJobs. An operator that
warned in each round would hide everything else in its log."""


class Reconciler:
    """Holds the state, records events, and runs the loop.

    `garbage` is None if the archiver deletes the stored objects of ImageJobs.
    """

    def __init__(
        self,
        kube: Kube,
        settings: Settings,
        writer: Writer,
        garbage: GarbageCollector | None,
        pod_template: Json,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self.heartbeat = heartbeat or Heartbeat()
        self.state = State(
            since=utcnow(),
            describers=DescriberRegistry(pod_template),
            job_queue=JobQueue(settings.job_kept, settings.min_job_kept),
        )
        self._garbage = garbage
        self._kube = kube
        self._settings = settings
        self._changed = asyncio.Event()
        self.executor = ActionExecutor(self.state, writer, kube, settings.namespace, self._changed)
        self.round_durations = Durations(ROUND_SECONDS)
        self._lists = ObjectLists(
            kube,
            settings.namespace,
            self.state,
            self._changed,
            self.heartbeat,
            has_imagebatches=settings.has_imagebatches,
        )
        self.last_heard = self._lists.last_heard
        """When the last event or complete list of each kind arrived."""
        self._failed_resyncs = 0
        self._warned_at: datetime | None = None
        self._last_decision = utcnow()
        self._freshness = Freshness(last_round=utcnow(), last_lease=utcnow())

    def observe(self, kind: Kind, event: str | None, body: Json) -> None:
        """Record a watch event, and start a round if a decision may depend on it."""
        self.last_heard[kind] = utcnow()
        if kind == "leases":
            self._freshness.last_lease = utcnow()

        if event == "DELETED":
            self.state.forget(kind, body["metadata"]["name"], version_of(body), utcnow())
            if kind == "imagejobs":
                self._collect_garbage(body)
        elif not self.state.observe(kind, body, utcnow()):
            return

        self._changed.set()

    async def run(self) -> None:
        """Run the loop until cancelled. Call resync() first, so that the state is complete."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._resync_periodically())
            tasks.create_task(self._lists.run())
            if self._garbage:
                tasks.create_task(self._garbage.sweep_periodically())
            while True:
                self.heartbeat.beat()
                if not await self._ensure_fresh():
                    await asyncio.sleep(backoff(self._failed_resyncs, *UNAVAILABLE_SECONDS))
                    continue

                self._round()
                # wait_for() is not used, because in Python 3.11 it swallows a cancellation that
                # arrives together with a change.
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await self._changed.wait()

    def seconds_since_round(self) -> float:
        """Return the seconds since the operator last decided, or since its start."""
        return (utcnow() - self._last_decision).total_seconds()

    async def resync(self) -> None:
        """List what decisions need, so that an object that was never seen doesn't seem missing.

        Raises:
            KubeError: Listing failed.
        """
        await self._lists.read()
        self._freshness.last_lease = utcnow()

    async def resync_after_loss(self) -> None:
        """List everything again, because changes of ImageJobs may have been missed.

        Raises:
            KubeError: Listing failed.
        """
        self._lists.record_loss()
        await self.resync()

    async def _ensure_fresh(self) -> bool:
        """List objects again if events may be missing; return whether decisions can be made."""
        freshness = self._freshness
        freshness.begin_round(utcnow())
        if not freshness.needs_resync(utcnow(), working=self.state.workers.has_leases):
            return True

        try:
            await self.resync()
        except KubeError as error:
            log.warning("no decisions until the API server answers: %s", error)
            freshness.cut_off = True
            self._failed_resyncs += 1
            return False

        now = utcnow()
        self._failed_resyncs = 0
        if freshness.cut_off:
            self.state.grace_until = now + GRACE

        freshness.resynced(now)
        return True

    async def _resync_periodically(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            try:
                await self.resync()
            except KubeError as error:
                log.warning("resync failed, trying again in %.0f s: %s", RESYNC_SECONDS, error)

    def _round(self) -> None:
        self._changed.clear()
        started, now = time.perf_counter(), utcnow()
        self._last_decision = now
        self.state.begin_round(now)
        for action in decide(self.state, self._settings, now):
            if isinstance(action, Cordon):
                self.state.cordon(action.worker)
            else:
                self.executor.start(action, now)

        self.round_durations.add(time.perf_counter() - started)
        self._warn_if_nearly_full(now)

        if self._garbage and self.state.knows_all_imagejobs:
            self._garbage.delete_unnamed(self.state.job_queue)

    def _warn_if_nearly_full(self, now: datetime) -> None:
        """Warn while the archiver does not remove finished ImageJobs from etcd in time."""
        if not is_nearly_full(self.state, self._settings):
            return

        if self._warned_at and (now - self._warned_at).total_seconds() < WARNING_SECONDS:
            return

        self._warned_at = now
        log.warning(
            "%d ImageJobs exist, near the limit of %d (limits.imageJobs), at which the API refuses "
            "submissions. Finished ones leave etcd after the archiver has written them to the "
            "database: check the archiver's log and vision_node_database_up",
            self.state.job_queue.total,
            self._settings.max_imagejobs,
        )

    def _collect_garbage(self, body: Json) -> None:
        """Have the stored objects of a deleted ImageJob deleted.

        Until all ImageJobs are known, another one may name the same image, so the objects wait.
        """
        name = body["metadata"]["name"]
        self.executor.forget(ObjectKey("imagejobs", name))
        if is_shard(body) or self._garbage is None:
            return  # its objects belong to the ImageBatch, or the archiver deletes them

        try:
            job = ImageJob.model_validate(body)
        except ValueError as error:
            log.warning("leaving the objects of ImageJob %s to the next sweep: %s", name, error)
            return

        self._garbage.collect(job)


async def until_answered(call: Callable[[], Awaitable[T]], heartbeat: Heartbeat | None = None) -> T:
    """Repeat `call` until the API server answers without an error, and return its result.

    When a release starts, the CRD and the operator's permissions may take effect a moment after the
    operator starts. The API server may also be away for long, and a restart would not bring it
    back, so each attempt counts as progress.
    """
    failures = 0
    while True:
        if heartbeat:
            heartbeat.beat()
        try:
            return await call()
        except KubeError as error:
            log.warning("waiting for the API server: %s", error)

        await asyncio.sleep(backoff(failures, *START_SECONDS))
        failures += 1
