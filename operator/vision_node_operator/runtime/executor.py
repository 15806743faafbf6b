"""Sets actions going, and takes in what came of each: the answer, a conflict, a refusal."""

import asyncio
import logging
from datetime import datetime, timedelta

from vision_node_contract.clients.kube import ConflictError, Kube, KubeError, NotFoundError, backoff
from vision_node_contract.json_types import Json
from vision_node_contract.names import PLURAL, path_of

from ..decisions.actions import (
    Announce,
    Assign,
    Expire,
    Fail,
    Launch,
    Report,
    Requeue,
    Write,
    target,
)
from ..state.problems import of_refusal
from ..state.state import Kind, State
from .clock import utcnow
from .writer import NameTakenError, Writer

log = logging.getLogger(__name__)

WRITES_AT_ONCE = 32
"""More would only queue in the API server's priority and fairness on a small control plane."""

HOLD_OFF_SECONDS = (0.2, 30.0)
"""First and longest pause for an object whose write failed, doubling with full jitter."""

EXPIRY_HOLD_OFF_SECONDS = (1.0, 600.0)
"""First and longest pause after a failed deletion of an expired ImageJob. No user waits for it, and
if a webhook refuses thousands of them, they must not flood the API server."""

DELETION_SEEN = timedelta(seconds=30)
"""An object that we deleted is left alone until the watch shows it gone, or for so long."""


class Performer:
    """Performs actions beside one another; whenever one has ended it sets `changed`."""

    def __init__(
        self, state: State, writer: Writer, kube: Kube, namespace: str, changed: asyncio.Event
    ) -> None:
        self._state = state
        self._writer = writer
        self._kube = kube
        self._imagejobs_path = path_of(PLURAL, namespace)
        self._changed = changed
        self._slots = asyncio.Semaphore(WRITES_AT_ONCE)
        self._writes: set[asyncio.Task[None]] = set()
        self._failures: dict[str, int] = {}

    def begin(self, action: Write, now: datetime) -> None:
        """Set the action going; its object is busy until it has ended."""
        self._note(action, now)
        self._state.busy[target(action)] = action.worker if isinstance(action, Assign) else ""
        task = asyncio.create_task(self._perform(action))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    def forget(self, object_key: str) -> None:
        """Forget how often writes of an object have failed that is gone."""
        self._failures.pop(object_key, None)

    def _note(self, action: Write, now: datetime) -> None:
        """Remember what was said or given, so that it is not said or given again at once."""
        if isinstance(action, Report):
            self._state.reported[action.pool.describer] = now
        elif isinstance(action, Assign):
            self._state.take_turn(action.job.spec.describer, now)
        elif isinstance(action, Announce):
            self._state.backlog.failed.pop(action.job.metadata.name, None)

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
            self._hold_off(action)
            if isinstance(action, Launch):
                self._learn(action, error)
        except Exception:
            # A bug; the object waits, all others go on.
            log.exception("%s %s failed", type(action).__name__, object_key)
            self._hold_off(action)
        finally:
            self._state.busy.pop(object_key, None)
            self._changed.set()

    def _learn(self, refused: Launch, error: KubeError) -> None:
        if isinstance(error, NameTakenError):
            self._state.fleet.taken.add(refused.name)
        else:
            self._state.fleet.troubles[refused.pool.describer] = of_refusal(error.message), utcnow()

    def _take_in(self, object_key: str, kind: Kind, body: Json | None) -> None:
        self._failures.pop(object_key, None)
        if body is not None:
            self._state.observe(kind, body, utcnow())
        elif self._state.knows(object_key):
            # Until the watch tells that it is gone; it may have done so already.
            self._state.hold_off(object_key, utcnow() + DELETION_SEEN)

    async def _reread(self, action: Write, error: KubeError) -> None:
        """Somebody was faster: look at what the ImageJob is now and let the next round decide."""
        if not isinstance(action, Assign | Requeue | Fail):
            log.warning("%s %s failed: %s", type(action).__name__, target(action), error)
            self._hold_off(action)
            return

        meta = action.job.metadata
        try:
            found = await self._kube.request("GET", f"{self._imagejobs_path}/{meta.name}")
            self._state.observe("imagejobs", found, utcnow())
        except NotFoundError:
            self._state.forget("imagejobs", meta.name, int(meta.resource_version), utcnow())
        except KubeError as again:
            log.warning("reading ImageJob %s failed: %s", meta.name, again)
            self._hold_off(action)

    def _hold_off(self, action: Write) -> None:
        object_key, expiring = target(action), isinstance(action, Expire)
        failures = self._failures[object_key] = self._failures.get(object_key, 0) + 1
        first, longest = EXPIRY_HOLD_OFF_SECONDS if expiring else HOLD_OFF_SECONDS
        pause = max(first, backoff(failures, first, longest))
        self._state.hold_off(object_key, utcnow() + timedelta(seconds=pause))


def _level(action: Write) -> int:
    """Return the log level: what each image takes is no news."""
    return (
        logging.DEBUG if isinstance(action, Assign | Expire | Report | Announce) else logging.INFO
    )
