"""The loop: whenever something changed, decide anew from the whole state, and have that performed.

Level-based: a lost event, a failed write or a crash is made good by the next round, because nothing
is remembered but what is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from vision_node_contract.clients.kube import Kube, KubeError, Selectors, backoff
from vision_node_contract.json_types import Json
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
from ..state.state import Kind, State, key, version_of
from .clock import utcnow
from .executor import HOLD_OFF_SECONDS, Performer
from .freshness import Alertness
from .garbage_collector import Garbage
from .writer import Writer

T = TypeVar("T")

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
"""Deadlines, backoffs and idle times are looked at this often when nothing happens."""

RESYNC_SECONDS = 300.0
"""Everything is listed anew this often, for events that a watch may have missed."""

AWAY_SECONDS = (0.2, 2.0)
"""First and longest pause while the API server is away: it is soon seen to be back."""

STALE_SECONDS = 30.0
"""A loop that has not gone round for so long is stuck: the liveness probe fails."""

# The component alone is a common label; others' workers are not ours.
WORKERS_ONLY = Selectors(labels=f"{COMPONENT_LABEL}={WORKER_COMPONENT},{DESCRIBER_LABEL}")


class Reconciler:
    """Holds the state, takes in events, and runs the loop."""

    def __init__(
        self, kube: Kube, settings: Settings, writer: Writer, garbage: Garbage, pod_template: Json
    ) -> None:
        self.state = State(pod_template=pod_template, since=utcnow())
        self._garbage = garbage
        self._kube = kube
        self._settings = settings
        self._changed = asyncio.Event()
        self._performer = Performer(self.state, writer, kube, settings.namespace, self._changed)
        self._unanswered = 0
        self._listing = asyncio.Lock()
        self._alertness = Alertness(last_round=utcnow(), last_heard=utcnow())

    def observe(self, kind: Kind, event: str | None, body: Json) -> None:
        """Take in a watch event."""
        if kind == "leases":
            self._alertness.last_heard = utcnow()

        if event == "DELETED":
            self.state.forget(kind, body["metadata"]["name"], version_of(body), utcnow())
            if kind == "imagejobs":
                self._collect(body)
        elif not self.state.observe(kind, body, utcnow()):
            return  # what we wrote ourselves, and took in with the answer

        self._changed.set()

    def sweep(self, kind: Kind, names: Collection[str], version: int) -> None:
        """Take in that a list, read at `version`, has these names and no others."""
        self.state.sweep(kind, names, version, utcnow())
        self._changed.set()

    async def run(self) -> None:
        """Decide and act until cancelled; call resync() before, so that what there is is known."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._resync_now_and_then())
            tasks.create_task(self._garbage.sweep_now_and_then())
            while True:
                if not await self._is_awake():
                    await asyncio.sleep(backoff(self._unanswered, *AWAY_SECONDS))
                    continue
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
        age = (utcnow() - self._alertness.last_round).total_seconds()
        if age > STALE_SECONDS:
            raise RuntimeError(f"no decision for {age:.0f} s")
        return age

    async def resync(self) -> None:
        """List everything and take it in, so that nothing is taken for lost that was only not seen yet.

        One at a time: a list that takes long must not bring back what a later one showed to be
        gone.

        Raises:
            KubeError: a list could not be had.
        """
        async with self._listing:
            await self._list_all()
        self._alertness.last_heard = utcnow()
        self._changed.set()

    async def _list_all(self) -> None:
        space = self._settings.namespace
        lists: list[tuple[Kind, str, Selectors]] = [
            ("describers", path_of(DESCRIBER_PLURAL, space), Selectors()),
            ("leases", f"/apis/coordination.k8s.io/v1/namespaces/{space}/leases", WORKERS_ONLY),
            ("jobs", f"/apis/batch/v1/namespaces/{space}/jobs", WORKERS_ONLY),
            ("imagejobs", path_of(PLURAL, space), Selectors()),
            # Pods last: an ImageJob's worker is always in a list read after the ImageJob.
            ("pods", f"/api/v1/namespaces/{space}/pods", WORKERS_ONLY),
        ]

        for kind, path, selectors in lists:
            names: set[str] = set()
            async for bodies, version in self._kube.list_pages(path, selectors):  # noqa: B007
                names.update(body["metadata"]["name"] for body in bodies)
                for body in bodies:
                    self.state.observe(kind, body, utcnow())

            self.state.sweep(kind, names, int(version), utcnow())

    async def _is_awake(self) -> bool:
        """Return whether decisions rest on what is: after a sleep or a silence, only once all is listed."""
        if not self._alertness.must_look(utcnow(), working=bool(self.state.fleet.heard)):
            return True

        try:
            await self.resync()
        except KubeError as error:
            log.warning("nothing is decided until the API server answers: %s", error)
            self._alertness.cut_off = True
            self._unanswered += 1
            return False

        self._unanswered = 0
        self.state.dazed_until = self._alertness.looked(utcnow()) or self.state.dazed_until
        return True

    async def _resync_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            try:
                await self.resync()
            except KubeError as error:
                log.warning("resync failed, the next one is in %.0f s: %s", RESYNC_SECONDS, error)

    def _round(self) -> None:
        self._changed.clear()
        now = utcnow()
        for action in decide(self.state, self._settings, now):
            if isinstance(action, Cordon):
                self.state.fleet.cordoned.add(action.worker)
                continue
            self._performer.begin(action, now)

    def _collect(self, body: Json) -> None:
        self._performer.forget(key("imagejobs", body["metadata"]["name"]))
        try:
            job = ImageJob.model_validate(body)
        except ValueError as error:
            log.warning(
                "objects of ImageJob %s are left to the sweep: %s", body["metadata"]["name"], error
            )
        else:
            self._garbage.collect(job, self.state.backlog)


async def until_answered(call: Callable[[], Awaitable[T]]) -> T:
    """Return what `call` does, which is tried until the API server answers it well.

    At the start of a release the CRD and our rights may come a moment after us; if they don't come,
    the startup probe ends the wait.
    """
    failures = 0
    while True:
        try:
            return await call()
        except KubeError as error:
            log.warning("waiting for the API server: %s", error)

        await asyncio.sleep(backoff(failures, *HOLD_OFF_SECONDS))
        failures += 1
