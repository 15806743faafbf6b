"""The operator's loop: after each change, decide from the whole state, and start the actions.

The loop is level-based. It decides from the state alone, so the next round makes up for a lost
event, a failed write or a crash.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from vision_node_contract.clients.kube import Kube, KubeError, Selectors, backoff
from vision_node_contract.json_types import Json
from vision_node_contract.leases import leases_path
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.names import (
    COMPONENT_LABEL,
    DESCRIBER_LABEL,
    DESCRIBER_PLURAL,
    PLURAL,
    WORKER_COMPONENT,
    path_of,
)

from ..decisions.actions import Cordon
from ..decisions.decide import decide
from ..settings import Settings
from ..state.describer_registry import DescriberRegistry
from ..state.job_queue import JobQueue
from ..state.object_versions import Kind, ObjectKey, version_of
from ..state.state import State
from ..state.statistics.durations import ROUND_SECONDS, Durations
from .clock import utcnow
from .executor import BACKOFF_SECONDS, ActionExecutor
from .freshness import GRACE, Freshness
from .garbage_collector import GarbageCollector
from .writer import Writer

T = TypeVar("T")

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
"""Maximum time between rounds. No event occurs when a deadline, backoff or idle time ends."""

RESYNC_SECONDS = 300.0
"""Interval at which all objects are listed again, because a watch may have missed events."""

UNAVAILABLE_SECONDS = (0.2, 2.0)
"""Initial and longest pause between attempts while the API server is unavailable. They are short,
so that decisions resume soon after an outage."""

STUCK_SECONDS = 30.0
"""How long the loop may go without a round. After that it counts as stuck, and the liveness probe
fails."""

# The component label alone is not enough, because other products' workers may have it too.
WORKERS_ONLY = Selectors(labels=f"{COMPONENT_LABEL}={WORKER_COMPONENT},{DESCRIBER_LABEL}")


class Reconciler:
    """Holds the state, records events, and runs the loop."""

    def __init__(
        self,
        kube: Kube,
        settings: Settings,
        writer: Writer,
        garbage: GarbageCollector,
        pod_template: Json,
    ) -> None:
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
        self.last_heard: dict[Kind, datetime] = {}
        """When the last event or complete list of each kind arrived."""
        self._failed_resyncs = 0
        self._listing = asyncio.Lock()
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

    def sweep(self, kind: Kind, names: Collection[str], version: int) -> None:
        """Record that a complete list, read at `version`, contains exactly these names."""
        self.state.sweep(kind, names, version, utcnow())
        self.last_heard[kind] = utcnow()
        self._changed.set()

    async def run(self) -> None:
        """Run the loop until cancelled. Call resync() first, so that the state is complete."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._resync_periodically())
            tasks.create_task(self._garbage.sweep_periodically())
            while True:
                if not await self._ensure_fresh():
                    await asyncio.sleep(backoff(self._failed_resyncs, *UNAVAILABLE_SECONDS))
                    continue

                self._round()
                # wait_for() is not used, because in Python 3.11 it swallows a cancellation that
                # arrives together with a change.
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await self._changed.wait()

    def check(self) -> float:
        """Return the seconds since the last round, for the liveness probe.

        Raises:
            RuntimeError: The loop is stuck.
        """
        age = self.seconds_since_round()
        if age > STUCK_SECONDS:
            raise RuntimeError(f"no decision for {age:.0f} s")

        return age

    def seconds_since_round(self) -> float:
        """Return the seconds since the last round began."""
        return (utcnow() - self._freshness.last_round).total_seconds()

    async def resync(self) -> None:
        """List all objects, so that an object that was never seen isn't mistaken for a missing one.

        Only one resync runs at a time. Otherwise a slow list could restore objects that a later
        list has shown to be deleted.

        Raises:
            KubeError: Listing failed.
        """
        async with self._listing:
            await self._list_all()

        self._freshness.last_lease = utcnow()
        self._changed.set()

    async def _list_all(self) -> None:
        namespace = self._settings.namespace
        lists: list[tuple[Kind, str, Selectors]] = [
            ("describers", path_of(DESCRIBER_PLURAL, namespace), Selectors()),
            ("leases", leases_path(namespace), WORKERS_ONLY),
            ("jobs", f"/apis/batch/v1/namespaces/{namespace}/jobs", WORKERS_ONLY),
            ("imagejobs", path_of(PLURAL, namespace), Selectors()),
            # Pods are listed after ImageJobs. If the pod of an ImageJob's worker is missing from
            # this list, the pod no longer exists.
            ("pods", f"/api/v1/namespaces/{namespace}/pods", WORKERS_ONLY),
        ]

        for kind, path, selectors in lists:
            names: set[str] = set()
            async for bodies, version in self._kube.list_pages(path, selectors):  # noqa: B007
                names.update(body["metadata"]["name"] for body in bodies)
                for body in bodies:
                    self.state.observe(kind, body, utcnow())

            self.state.sweep(kind, names, int(version), utcnow())
            self.last_heard[kind] = utcnow()

    async def _ensure_fresh(self) -> bool:
        """List all objects if events may be missing; return whether decisions can be made."""
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
        for action in decide(self.state, self._settings, now):
            if isinstance(action, Cordon):
                self.state.cordon(action.worker)
            else:
                self.executor.start(action, now)

        self.round_durations.add(time.perf_counter() - started)

    def _collect_garbage(self, body: Json) -> None:
        """Start deleting the stored objects of a deleted ImageJob."""
        name = body["metadata"]["name"]
        self.executor.forget(ObjectKey("imagejobs", name))
        try:
            job = ImageJob.model_validate(body)
        except ValueError as error:
            log.warning("leaving the objects of ImageJob %s to the next sweep: %s", name, error)
        else:
            self._garbage.collect(job, self.state.job_queue)


async def until_answered(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat `call` until the API server answers without an error, and return its result.

    When a release starts, the CRD and the operator's permissions may take effect a moment after the
    operator starts. If they never do, the startup probe ends the wait.
    """
    failures = 0
    while True:
        try:
            return await call()
        except KubeError as error:
            log.warning("waiting for the API server: %s", error)

        await asyncio.sleep(backoff(failures, *BACKOFF_SECONDS))
        failures += 1
