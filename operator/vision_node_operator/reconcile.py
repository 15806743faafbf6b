"""The loop: whenever something changed, decide anew from the whole state and set the actions going.

Level-based: a lost event, a failed write or a crash is made good by the next round, because nothing is
remembered but what is.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from vision_node_contract.kube import (
    ConflictError,
    Kube,
    KubeError,
    NotFoundError,
    Selectors,
    backoff,
)
from vision_node_contract.names import COMPONENT_LABEL, GROUP, PLURAL, VERSION, WORKER_COMPONENT

from .actions import Action, Assign, target
from .decide import decide
from .garbage import Garbage
from .settings import Settings
from .state import Json, Kind, State
from .writer import Writer

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
"""Deadlines, backoffs and idle times are looked at this often when nothing happens."""

RESYNC_SECONDS = 300.0
"""Everything is listed anew this often, for events that a watch may have missed."""

WRITES_AT_ONCE = 32
"""More would only queue in the API server's priority and fairness on a small control plane."""

HOLD_OFF_SECONDS = (0.2, 30.0)
"""First and longest pause for an object whose write failed, doubling with full jitter."""

STALE_SECONDS = 30.0
"""A loop that has not gone round for so long is stuck: the liveness probe fails."""

WORKERS_ONLY = Selectors(labels=f"{COMPONENT_LABEL}={WORKER_COMPONENT}")


class Reconciler:
    """Holds the state, takes in events, and runs the loop."""

    def __init__(self, kube: Kube, settings: Settings, writer: Writer, garbage: Garbage) -> None:
        self.state = State()
        self._garbage = garbage
        self._kube = kube
        self._settings = settings
        self._writer = writer
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(WRITES_AT_ONCE)
        self._writes: set[asyncio.Task[None]] = set()
        self._failures: dict[str, int] = {}
        self._last_round = utcnow()

    def observe(self, kind: Kind, event: str | None, body: Json) -> None:
        """Take in a watch event."""
        if event == "DELETED":
            self.state.forget(kind, body["metadata"]["name"], utcnow())
            if kind == "imagejobs":
                self._garbage.collect(body, self.state)
        else:
            self.state.observe(kind, body, utcnow())
        self._changed.set()

    async def run(self) -> None:
        """Resync, then decide and act until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            await self.resync()
            tasks.create_task(self._resync_now_and_then())
            tasks.create_task(self._garbage.sweep_now_and_then())
            while True:
                self._round()
                try:
                    await asyncio.wait_for(self._changed.wait(), TICK_SECONDS)
                except TimeoutError:
                    continue

    def check(self) -> float:
        """Return the seconds since the last round, for the liveness probe.

        Raises:
            RuntimeError: the loop is stuck.
        """
        age = (utcnow() - self._last_round).total_seconds()
        if age > STALE_SECONDS:
            raise RuntimeError(f"no decision for {age:.0f} s")
        return age

    async def resync(self) -> None:
        """List everything and take it in, so that nothing is taken for lost that was only not seen yet.

        Raises:
            KubeError: the API server is away; the pod starts again.
        """
        space = self._settings.namespace
        lists: list[tuple[Kind, str, Selectors]] = [
            ("leases", f"/apis/coordination.k8s.io/v1/namespaces/{space}/leases", WORKERS_ONLY),
            ("jobs", f"/apis/batch/v1/namespaces/{space}/jobs", WORKERS_ONLY),
            ("imagejobs", f"/apis/{GROUP}/{VERSION}/namespaces/{space}/{PLURAL}", Selectors()),
            # Pods last: an ImageJob's worker is always in a list read after the ImageJob.
            ("pods", f"/api/v1/namespaces/{space}/pods", WORKERS_ONLY),
        ]
        for kind, path, selectors in lists:
            bodies, version = await self._kube.list_all(path, selectors)
            self.state.replace(kind, bodies, int(version), utcnow())
        self._changed.set()

    async def _resync_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            try:
                await self.resync()
            except KubeError as error:
                log.warning("resync failed, the next one is in %.0f s: %s", RESYNC_SECONDS, error)

    def _round(self) -> None:
        self._changed.clear()
        self._last_round = now = utcnow()
        for action in decide(self.state, self._settings, now):
            self.state.busy[target(action)] = action.worker if isinstance(action, Assign) else ""
            task = asyncio.create_task(self._perform(action))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    async def _perform(self, action: Action) -> None:
        name = target(action)
        try:
            async with self._slots:
                kind, body = await self._writer.perform(action, utcnow())
            self._take_in(kind, name, body)
            self._failures.pop(name, None)
        except (ConflictError, NotFoundError):
            await self._reread(name)
        except KubeError as error:
            log.warning("%s %s failed: %s", type(action).__name__, name, error)
            self._hold_off(name)
        finally:
            self.state.busy.pop(name, None)
            self._changed.set()

    def _take_in(self, kind: Kind, name: str, body: Json | None) -> None:
        if body is None:
            self.state.forget(kind, name, utcnow())
        else:
            self.state.observe(kind, body, utcnow())

    async def _reread(self, name: str) -> None:
        """Somebody was faster: look at what the ImageJob is now and let the next round decide."""
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{self._settings.namespace}/{PLURAL}/{name}"
        try:
            self.state.observe("imagejobs", await self._kube.request("GET", path), utcnow())
        except NotFoundError:
            self.state.forget("imagejobs", name, utcnow())
        except KubeError as error:
            log.warning("reading ImageJob %s failed: %s", name, error)
            self._hold_off(name)

    def _hold_off(self, name: str) -> None:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        pause = timedelta(seconds=backoff(failures, *HOLD_OFF_SECONDS))
        self.state.held_off[name] = utcnow() + pause


def utcnow() -> datetime:
    """Return the operator's clock, the only one that deadlines are held against."""
    return datetime.now(UTC)
