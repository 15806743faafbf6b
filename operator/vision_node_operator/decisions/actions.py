"""The actions that decide() returns and the executor performs."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from vision_node_contract.models.batch_transitions import Progress
from vision_node_contract.models.describer import DescriberStatus
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import Reason
from vision_node_contract.models.shard import Shard, ShardSpec, shard_name
from vision_node_contract.models.transitions import AnyJob

from ..state.object_versions import ObjectKey
from ..state.pools.pool import Pool
from ..state.state import key_of


@dataclass(frozen=True, slots=True)
class Assign:
    """Assign a queued ImageJob to a worker."""

    job: AnyJob
    worker: str
    """Name of the worker's pod."""
    timeout: timedelta
    """How long the attempt may take, starting when this action is performed."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """Take an ImageJob back from its worker, so that it can be assigned again later."""

    job: AnyJob
    reason: Reason
    message: str
    next_attempt: datetime
    """Earliest time of the next assignment."""
    lost: bool = False
    """True if the attempt does not count toward maxAttempts, because infrastructure or a rate limit
    ended it."""
    suspect: bool = False
    """Whether this image may have caused its worker to end. If so, it has a worker to itself in all
    further attempts."""


@dataclass(frozen=True, slots=True)
class Fail:
    """End an ImageJob without a description."""

    job: AnyJob
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Expire:
    """Delete a finished ImageJob that has expired, or because there are too many ImageJobs."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class CreateShard:
    """Create an ImageJob for some of an ImageBatch's images."""

    spec: ShardSpec
    owner: str | None
    """The ImageBatch's owner label; None if it has none."""

    @property
    def name(self) -> str:
        """The shard's name."""
        images = self.spec.images
        return shard_name(images.batch, images.batch_uid, images.first)


@dataclass(frozen=True, slots=True)
class GiveUpShard:
    """End a shard without an outcome, so that other shards describe all of its images."""

    shard: Shard
    reason: Reason
    message: str
    suspects: str
    """The ranges of images that may have killed the worker, as text; empty if there are none."""


@dataclass(frozen=True, slots=True)
class CancelShard:
    """Ask the worker to end a shard early and to store what it has."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class DeleteShard:
    """Delete a shard that has been counted or is not needed."""

    name: str
    uid: str
    """The shard's UID, because a new shard may have the same name."""


@dataclass(frozen=True, slots=True)
class AdvanceBatch:
    """Count finished shards, update an ImageBatch's conditions, and end it if nothing is left."""

    batch: ImageBatch
    progress: Progress


@dataclass(frozen=True, slots=True)
class ExpireBatch:
    """Delete a finished ImageBatch that has expired."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class ExpireUpload:
    """Delete an ImageBatch whose upload was not complete in time."""

    batch: ImageBatch


@dataclass(frozen=True, slots=True)
class Launch:
    """Create a describer Job. The name contains the Job's slot, so no slot is used twice."""

    name: str
    pool: Pool


@dataclass(frozen=True, slots=True)
class Retire:
    """Delete a describer Job whose worker has ended or has no ImageJobs."""

    name: str


@dataclass(frozen=True, slots=True)
class Cordon:
    """Stop assigning ImageJobs to a worker that may be broken. Nothing is written to Kubernetes."""

    worker: str
    """Name of the worker's pod."""


@dataclass(frozen=True, slots=True)
class UpdateStatus:
    """Write a Describer's status."""

    pool: Pool
    status: DescriberStatus
    emit_event: bool
    """Whether to write an Event as well, because the condition Ready has changed."""


@dataclass(frozen=True, slots=True)
class EmitEvent:
    """Write the Event for an ImageJob that has failed."""

    job: ImageJob


ShardWrite = CreateShard | GiveUpShard | CancelShard | DeleteShard
BatchWrite = ShardWrite | AdvanceBatch | ExpireBatch | ExpireUpload
JobWrite = Assign | Requeue | Fail | Expire | Launch | Retire | UpdateStatus | EmitEvent
Write = JobWrite | BatchWrite
Action = Write | Cordon


def target(action: Write) -> ObjectKey:
    """Return the key of the object that the action writes."""
    if isinstance(action, BatchWrite):
        return _target_of_batch(action)

    match action:
        case Assign() | Requeue() | Fail():
            return key_of(action.job)
        case Expire():
            return ObjectKey("imagejobs", action.name)
        case Launch() | Retire():
            return ObjectKey("jobs", action.name)
        case UpdateStatus():
            return ObjectKey("describers", action.pool.describer)
        case EmitEvent():
            return ObjectKey("events", action.job.metadata.name)


def _target_of_batch(action: BatchWrite) -> ObjectKey:
    match action:
        case CreateShard() | DeleteShard():
            return ObjectKey("imagejobs", action.name)
        case GiveUpShard() | CancelShard():
            return key_of(action.shard)
        case AdvanceBatch() | ExpireUpload():
            return ObjectKey("imagebatches", action.batch.metadata.name)
        case ExpireBatch():
            return ObjectKey("imagebatches", action.name)
