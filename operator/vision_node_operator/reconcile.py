"""The loop: whenever something changed, decide anew from the whole state and set the actions going.

Level-based: a lost event, a failed write or a crash is made good by the next round, because nothing is
remembered but what is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from vision_node_contract.imagejob import ImageJob
from vision_node_contract.kube import (
    ConflictError,
    Kube,
    KubeError,
    NotFoundError,
    Selectors,
    backoff,
)
from vision_node_contract.names import (
    COMPONENT_LABEL,
    DESCRIBER_LABEL,
    DESCRIBER_PLURAL,
    PLURAL,
    WORKER_COMPONENT,
    path_of,
)

from .actions import Announce, Assign, Cordon, Expire, Fail, Launch, Report, Requeue, Write, target
from .alertness import Alertness
from .decide import decide
from .garbage import Garbage
from .settings import Settings
from .state import Json, Kind, State, key, version_of
from .trouble import of_refusal
from .writer import NameTakenError, Writer

T = TypeVar("T")

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
"""Deadlines, backoffs and idle times are looked at this often when nothing happens."""

RESYNC_SECONDS = 300.0
"""Everything is listed anew this often, for events that a watch may have missed."""

WRITES_AT_ONCE = 32
"""More would only queue in the API server's priority and fairness on a small control plane."""

HOLD_OFF_SECONDS = (0.2, 30.0)
"""First and longest pause for an object whose write failed, doubling with full jitter."""

AWAY_SECONDS = (0.2, 2.0)
"""First and longest pause while the API server is away: it is soon seen to be back."""

STALE_SECONDS = 30.0
"""A loop that has not gone round for so long is stuck: the liveness probe fails."""

DELETION_SEEN = timedelta(seconds=30)
"""An object that we deleted is left alone until the watch shows it gone, or for so long."""

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
        self._writer = writer
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(WRITES_AT_ONCE)
        self._writes: set[asyncio.Task[None]] = set()
        self._failures: dict[str, int] = {}
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

        One at a time: a list that takes long must not bring back what a later one showed to be gone.

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
            self._note(action, now)
            self.state.busy[target(action)] = action.worker if isinstance(action, Assign) else ""
            task = asyncio.create_task(self._perform(action))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    def _note(self, action: Write, now: datetime) -> None:
        """Remember what was said or given, so that it is not said or given again at once."""
        if isinstance(action, Report):
            self.state.reported[action.pool.describer] = now
        elif isinstance(action, Assign):
            self.state.take_turn(action.job.spec.describer, now)
        elif isinstance(action, Announce):
            self.state.backlog.failed.pop(action.job.metadata.name, None)

    async def _perform(self, action: Write) -> None:
        object_key = target(action)
        try:
            async with self._slots:
                kind, body = await self._writer.perform(action, utcnow())
            self._take_in(object_key, kind, body)
            log.log(_level(action), "%s %s", type(action).__name__, object_key)
        except (ConflictError, NotFoundError) as error:
            await self._reread(action, error)
        except KubeError as error:
            log.warning("%s %s failed: %s", type(action).__name__, object_key, error)
            self._hold_off(object_key)
            if isinstance(action, Launch):
                self._learn(action, error)
        except Exception:
            # A bug; the object waits, all others go on.
            log.exception("%s %s failed", type(action).__name__, object_key)
            self._hold_off(object_key)
        finally:
            self.state.busy.pop(object_key, None)
            self._changed.set()

    def _learn(self, refused: Launch, error: KubeError) -> None:
        if isinstance(error, NameTakenError):
            self.state.fleet.taken.add(refused.name)
        else:
            self.state.fleet.troubles[refused.pool.describer] = of_refusal(error.message), utcnow()

    def _take_in(self, object_key: str, kind: Kind, body: Json | None) -> None:
        self._failures.pop(object_key, None)
        if body is not None:
            self.state.observe(kind, body, utcnow())
        elif self.state.knows(
            object_key
        ):  # until the watch tells that it is gone; it may have done so already
            self.state.held_off[object_key] = utcnow() + DELETION_SEEN

    async def _reread(self, action: Write, error: KubeError) -> None:
        """Somebody was faster: look at what the ImageJob is now and let the next round decide."""
        if not isinstance(action, Assign | Requeue | Fail):
            log.warning("%s %s failed: %s", type(action).__name__, target(action), error)
            self._hold_off(target(action))
            return
        meta = action.job.metadata
        path = f"{path_of(PLURAL, self._settings.namespace)}/{meta.name}"
        try:
            self.state.observe("imagejobs", await self._kube.request("GET", path), utcnow())
        except NotFoundError:
            self.state.forget("imagejobs", meta.name, int(meta.resource_version), utcnow())
        except KubeError as again:
            log.warning("reading ImageJob %s failed: %s", meta.name, again)
            self._hold_off(target(action))

    def _hold_off(self, object_key: str) -> None:
        failures = self._failures[object_key] = self._failures.get(object_key, 0) + 1
        first, longest = HOLD_OFF_SECONDS
        pause = max(first, backoff(failures, first, longest))
        self.state.held_off[object_key] = utcnow() + timedelta(seconds=pause)

    def _collect(self, body: Json) -> None:
        self._failures.pop(key("imagejobs", body["metadata"]["name"]), None)
        try:
            job = ImageJob.model_validate(body)
        except ValueError as error:
            log.warning("objects of ImageJob %s are left to the sweep: %s", body["metadata"]["name"], error)
        else:
            self._garbage.collect(job, self.state.backlog)


async def until_answered(call: Callable[[], Awaitable[T]]) -> T:
    """Return what `call` does, which is tried until the API server answers it well.

    At the start of a release the CRD and our rights may come a moment after us; if they don't come, the
    startup probe ends the wait.
    """
    failures = 0
    while True:
        try:
            return await call()
        except KubeError as error:
            log.warning("waiting for the API server: %s", error)
        await asyncio.sleep(backoff(failures, *HOLD_OFF_SECONDS))
        failures += 1


def _level(action: Write) -> int:
    """Return the log level: what each image takes is no news."""
    return logging.DEBUG if isinstance(action, Assign | Expire | Report | Announce) else logging.INFO


def utcnow() -> datetime:
    """Return the operator's clock, the only one that deadlines are held against."""
    return datetime.now(UTC)
