"""The loop: when something has changed, decide from the whole state, and perform the decisions.

It is level-based: the next round makes up for a lost event, a failed write or a crash, because
nothing is remembered but the state.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
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
from ..state.object_versions import Kind, ObjectKey, version_of
from ..state.state import State
from .clock import utcnow
from .executor import BACKOFF_SECONDS, ActionExecutor
from .freshness import GRACE, Freshness
from .garbage_collector import GarbageCollector
from .writer import Writer

T = TypeVar("T")

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
"""Longest time between rounds, for deadlines, backoffs and idle times that no event announces."""

RESYNC_SECONDS = 300.0
"""Interval at which everything is listed again, because a watch may have missed events."""

UNAVAILABLE_SECONDS = (0.2, 2.0)
"""First and longest pause between tries while the API server is unavailable. They are short, so
that its return is soon noticed."""

STUCK_SECONDS = 30.0
"""Time without a round after which the loop counts as stuck, and the liveness probe fails."""

# The component alone is a common label; other products' workers have it, too.
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
        self.state = State(since=utcnow(), describers=DescriberRegistry(pod_template))
        self._garbage = garbage
        self._kube = kube
        self._settings = settings
        self._changed = asyncio.Event()
        self._executor = ActionExecutor(self.state, writer, kube, settings.namespace, self._changed)
        self._failed_resyncs = 0
        self._listing = asyncio.Lock()
        self._freshness = Freshness(last_round=utcnow(), last_lease=utcnow())

    def observe(self, kind: Kind, event: str | None, body: Json) -> None:
        """Record a watch event, and start a round if a decision may depend on it."""
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
        """Record that a complete list, read at `version`, has exactly these names."""
        self.state.sweep(kind, names, version, utcnow())
        self._changed.set()

    async def run(self) -> None:
        """Decide and act until cancelled. Call resync() first, so that the state is complete."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._resync_periodically())
            tasks.create_task(self._garbage.sweep_periodically())
            while True:
                if not await self._ensure_fresh():
                    await asyncio.sleep(backoff(self._failed_resyncs, *UNAVAILABLE_SECONDS))
                    continue

                self._round()
                # In Python 3.11, wait_for() swallows a cancellation that arrives with a change.
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await self._changed.wait()

    def check(self) -> float:
        """Return the seconds since the last round, for the liveness probe.

        Raises:
            RuntimeError: the loop is stuck.
        """
        age = (utcnow() - self._freshness.last_round).total_seconds()
        if age > STUCK_SECONDS:
            raise RuntimeError(f"no decision for {age:.0f} s")

        return age

    async def resync(self) -> None:
        """List everything, so that nothing counts as lost that was only not seen yet.

        One resync runs at a time: a slow list must not bring back what a later one showed to be
        gone.

        Raises:
            KubeError: a list failed.
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
            # Pods last: an ImageJob's worker is always in a list that was read after the ImageJob.
            ("pods", f"/api/v1/namespaces/{namespace}/pods", WORKERS_ONLY),
        ]

        for kind, path, selectors in lists:
            names: set[str] = set()
            async for bodies, version in self._kube.list_pages(path, selectors):  # noqa: B007
                names.update(body["metadata"]["name"] for body in bodies)
                for body in bodies:
                    self.state.observe(kind, body, utcnow())

            self.state.sweep(kind, names, int(version), utcnow())

    async def _ensure_fresh(self) -> bool:
        """List everything if events may be missing; return whether decisions can be made."""
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
        now = utcnow()
        for action in decide(self.state, self._settings, now):
            if isinstance(action, Cordon):
                self.state.cordon(action.worker)
            else:
                self._executor.start(action, now)

    def _collect_garbage(self, body: Json) -> None:
        """Remove the stored objects of a deleted ImageJob."""
        name = body["metadata"]["name"]
        self._executor.forget(ObjectKey("imagejobs", name))
        try:
            job = ImageJob.model_validate(body)
        except ValueError as error:
            log.warning("objects of ImageJob %s are left to the next sweep: %s", name, error)
        else:
            self._garbage.collect(job, self.state.job_queue)


async def until_answered(call: Callable[[], Awaitable[T]]) -> T:
    """Return the result of `call`, and repeat it until the API server answers without an error.

    When a release starts, the CRD and the operator's permissions may come a moment later than the
    operator. If they don't come, the startup probe ends the wait.
    """
    failures = 0
    while True:
        try:
            return await call()
        except KubeError as error:
            log.warning("waiting for the API server: %s", error)

        await asyncio.sleep(backoff(failures, *BACKOFF_SECONDS))
        failures += 1
