"""Start actions, and handle the result of each: an answer, a conflict or a refusal."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Literal

from vision_node_contract.clients.bucket import ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.kube import (
    ConflictError,
    Kube,
    KubeError,
    NotFoundError,
    UnavailableError,
    backoff,
)
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagejob import ObjectMeta
from vision_node_contract.models.reasons import Reason
from vision_node_contract.models.shard import Shard
from vision_node_contract.names import BATCH_PLURAL, PLURAL, path_of

from ..decisions.actions import (
    AdvanceBatch,
    Assign,
    CancelShard,
    CreateShard,
    DeleteShard,
    EmitEvent,
    Expire,
    ExpireBatch,
    ExpireUpload,
    Fail,
    GiveUpShard,
    Launch,
    Requeue,
    UpdateStatus,
    Write,
    target,
)
from ..decisions.background import MAX_BACKGROUND, source_of
from ..state.object_versions import Kind, ObjectKey
from ..state.state import State
from .clock import utcnow
from .writer import NameTakenError, Writer

log = logging.getLogger(__name__)

MAX_WRITES = 32
"""Maximum number of writes in flight. On a small control plane, more would only wait in the queues
of API Priority and Fairness."""

BACKOFF_SECONDS = (0.2, 30.0)
"""Initial and longest pause for an object whose write failed. The pause doubles with each failure
and has full jitter."""

EXPIRY_BACKOFF_SECONDS = (1.0, 600.0)
"""Initial and longest pause after a failed deletion of an expired ImageJob. No user waits for these
deletions. If a webhook refuses thousands of them, the retries must not flood the API server."""

MAX_FAILURES = 50_000
"""Maximum number of objects whose failed writes are counted. An object whose deletion was never
seen stays until then. If an object is forgotten too early, its next pause is short again."""

DELETION_SEEN = timedelta(seconds=30)
"""How long to leave a deleted object alone if the watch does not report the deletion."""

_ConditionalWrite = (
    Assign | Requeue | Fail | GiveUpShard | CancelShard | AdvanceBatch | ExpireUpload
)
_CONDITIONAL = (Assign, Requeue, Fail, GiveUpShard, CancelShard, AdvanceBatch, ExpireUpload)
"""Actions that fail with a conflict if the object has changed meanwhile."""

_ROUTINE = (
    Assign,
    Expire,
    UpdateStatus,
    EmitEvent,
    CreateShard,
    DeleteShard,
    AdvanceBatch,
    ExpireBatch,
)
"""Actions of which there may be hundreds per minute while all is well."""

WriteOutcome = Literal["ok", "conflict", "refused", "unavailable", "bug"]
"""The outcome of a write. `conflict` means that the object was changed or deleted in the meantime,
which is normal; `refused` and `unavailable` are the API server's, or the bucket's."""


class ActionExecutor:
    """Performs actions concurrently, and sets `changed` whenever an action ends."""

    def __init__(
        self, state: State, writer: Writer, kube: Kube, namespace: str, changed: asyncio.Event
    ) -> None:
        self._state = state
        self._writer = writer
        self._kube = kube
        self._paths: dict[str, str] = {
            plural: path_of(plural, namespace) for plural in (PLURAL, BATCH_PLURAL)
        }
        self._changed = changed
        self._slots = asyncio.Semaphore(MAX_WRITES)
        self._background_slots = asyncio.Semaphore(MAX_BACKGROUND)
        self._writes: set[asyncio.Task[None]] = set()
        self._failures: dict[ObjectKey, int] = {}
        """Number of consecutive failed writes by object, at most MAX_FAILURES of them."""
        self.results: Counter[tuple[str, WriteOutcome]] = Counter()
        """Numbers of writes since the operator started, by action and outcome."""

    @property
    def in_flight(self) -> int:
        """Number of writes that have not ended, including those that wait for a slot."""
        return len(self._writes)

    def start(self, action: Write, now: datetime) -> None:
        """Start an action. Until it ends, nothing else is decided about its object."""
        self._record_start(action, now)
        worker = action.worker if isinstance(action, Assign) else ""
        self._state.begin_write(target(action), worker, source_of(action))
        task = asyncio.create_task(self._perform(action))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    def forget(self, key: ObjectKey) -> None:
        """Forget the failed writes to an object that no longer exists."""
        self._failures.pop(key, None)

    def _record_start(self, action: Write, now: datetime) -> None:
        """Record the start of an action that must not be repeated immediately if it fails."""
        match action:
            case UpdateStatus():
                self._state.record_status_write(action.pool.describer, now)
            case Assign():
                job = action.job
                images = job.range.size if isinstance(job, Shard) else 1
                self._state.take_slot(job.spec.describer, now, images)
            case EmitEvent():
                self._state.job_queue.announce(action.job.metadata.name)
            case CreateShard():
                self._state.batches.begin_creation(action.spec)
            case AdvanceBatch():
                self._state.batches.record_advance(action.batch.metadata.name, now)

    @asynccontextmanager
    async def _slot(self, action: Write) -> AsyncIterator[None]:
        """Wait until a write may be sent. Background writes never take up all slots."""
        is_background = source_of(action) is not None
        async with self._background_slots if is_background else nullcontext(), self._slots:
            yield

    async def _perform(self, action: Write) -> None:
        key = target(action)
        outcome: WriteOutcome = "ok"
        try:
            async with self._slot(action):
                kind, body = await self._writer.perform(action, utcnow())

            self._observe(key, kind, body)
            log.log(_level(action), "%s %s", type(action).__name__, _path(key))
        except (ConflictError, NotFoundError) as error:
            outcome = "conflict"
            await self._read_again(action, error)
        except KubeError as error:
            outcome = "unavailable" if isinstance(error, UnavailableError) else "refused"
            log.warning("%s %s failed: %s", type(action).__name__, _path(key), error)
            self._back_off(action)
            if isinstance(action, Launch):
                self._record_refusal(action, error)
            elif isinstance(action, CreateShard) and outcome == "refused":
                self._state.batches.record_refusal(action.spec, error.message)
        except (StoreUnavailableError, ObjectNotFoundError) as error:
            outcome = "unavailable"
            log.warning("%s %s failed: %s", type(action).__name__, _path(key), error)
            self._back_off(action)
            if isinstance(action, AdvanceBatch):
                self._record_storage_problem(action, error)
        except Exception:
            # This is a bug. Pause only this object, so that everything else continues.
            outcome = "bug"
            log.exception("%s %s failed", type(action).__name__, _path(key))
            self._back_off(action)
        finally:
            self.results[type(action).__name__, outcome] += 1
            self._state.end_write(key)
            if isinstance(action, CreateShard):
                self._state.batches.end_creation(action.name)
            self._changed.set()

    def _record_storage_problem(
        self, action: AdvanceBatch, error: StoreUnavailableError | ObjectNotFoundError
    ) -> None:
        name, reason = action.batch.metadata.name, Reason.STORAGE_UNAVAILABLE
        if isinstance(error, StoreUnavailableError):
            reason = error.reason
        self._state.batches.record_storage_problem(name, reason, str(error))

    def _record_refusal(self, action: Launch, error: KubeError) -> None:
        if isinstance(error, NameTakenError):
            self._state.record_name_taken(action.name)
        else:
            self._state.record_refusal(action.pool.describer, error.message, utcnow())

    def _observe(self, key: ObjectKey, kind: Kind, body: Json | None) -> None:
        """Record the answer to a write: the object's new state, or None if there is none."""
        self._failures.pop(key, None)
        if body is not None:
            self._state.observe(kind, body, utcnow())
        elif self._state.versions.knows(key):
            # The object was deleted, and the watch has not reported that yet.
            self._state.record_deletion(key, utcnow() + DELETION_SEEN)

    async def _read_again(self, action: Write, error: KubeError) -> None:
        """Read an object again after a conflict or deletion, so that its current state is known.

        This is done only for ImageJobs and ImageBatches, whose writes have a condition. If the
        action was for any other kind of object, just back off.
        """
        if not isinstance(action, _CONDITIONAL):
            log.warning("%s %s failed: %s", type(action).__name__, _path(target(action)), error)
            self._back_off(action)
            return

        kind, meta = _object_of(action)
        try:
            body = await self._kube.request("GET", f"{self._paths[kind]}/{meta.name}")
            self._state.observe(kind, body, utcnow())
        except NotFoundError:
            self._state.forget(kind, meta.name, int(meta.resource_version), utcnow())
        except KubeError as again:
            log.warning("reading %s/%s failed: %s", kind, meta.name, again)
            self._back_off(action)

    def _back_off(self, action: Write) -> None:
        key = target(action)
        failures = self._failures.pop(key, 0) + 1
        self._failures[key] = failures
        if len(self._failures) > MAX_FAILURES:
            del self._failures[next(iter(self._failures))]

        is_expiry = isinstance(action, Expire | ExpireBatch | ExpireUpload)
        first, longest = EXPIRY_BACKOFF_SECONDS if is_expiry else BACKOFF_SECONDS
        pause = max(first, backoff(failures, first, longest))
        self._state.back_off(key, utcnow() + timedelta(seconds=pause))


def _object_of(action: _ConditionalWrite) -> tuple[Kind, ObjectMeta]:
    """Return the kind and the metadata of the object that the action changes."""
    match action:
        case AdvanceBatch() | ExpireUpload():
            return "imagebatches", action.batch.metadata
        case GiveUpShard() | CancelShard():
            return "imagejobs", action.shard.metadata

    return "imagejobs", action.job.metadata


def _level(action: Write) -> int:
    """Return the log level of a successful action: DEBUG if it is routine, otherwise INFO."""
    is_routine = isinstance(action, _ROUTINE)
    return logging.DEBUG if is_routine else logging.INFO


def _path(key: ObjectKey) -> str:
    return f"{key.kind}/{key.name}"
