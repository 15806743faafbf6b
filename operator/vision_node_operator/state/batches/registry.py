"""The registry of ImageBatches and shards. Shards are never in the queue of ImageJobs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from vision_node_contract.batch_uploads import UPLOAD_SECONDS
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.shard import Shard, ShardSpec, shard_name
from vision_node_contract.ranges import RangeSet

from ..schedule import Schedule
from .pause import Pause, stops_all
from .record import BatchRecord
from .shard_group import NO_SHARDS, ShardGroup
from .shard_history import ShardHistory

V = TypeVar("V")


@dataclass
class BatchRegistry:
    """All ImageBatches and all shards of the namespace."""

    batches: dict[str, BatchRecord] = field(default_factory=dict)
    """Records by the ImageBatch's name."""
    shards: dict[str, Shard] = field(default_factory=dict)
    """Shards by name, including those whose ImageBatch is not known."""
    creating: dict[str, ShardSpec] = field(default_factory=dict)
    """Shards whose creation is in flight, by name."""
    histories: dict[str, ShardHistory] = field(default_factory=dict)
    """History of each Describer's shards, by Describer."""

    _uids: dict[str, str] = field(default_factory=dict)
    """Names of ImageBatches by UID."""
    _shards_of: dict[str, dict[str, Shard]] = field(default_factory=dict)
    """Shards by the UID of their ImageBatch, and by name."""
    _groups: dict[str, ShardGroup] = field(default_factory=dict)
    """The same shards as groups. A group is made when it is needed after a change."""
    _by_worker: dict[str, dict[str, None]] = field(default_factory=dict)
    """Names of the processing shards by worker (pod name)."""
    _active: dict[str, None] = field(default_factory=dict)
    """Names of processing ImageBatches."""
    _cancelled_at: dict[str, datetime] = field(default_factory=dict)
    """When each processing shard was first seen with a request to end early."""
    _expiry: Schedule = field(default_factory=Schedule)
    """When finished ImageBatches expire, and those whose upload is not complete."""

    def history(self, describer: str) -> ShardHistory:
        """Return the history of a Describer's shards; create it if there is none."""
        return self.histories.setdefault(describer, ShardHistory())

    def end_pause(self, describer: str) -> None:
        """Resume a Describer's ImageBatches, because the Describer works again."""
        if history := self.histories.get(describer):
            history.pause = None

        for record in self._of(describer):
            # If others have succeeded before, the problem may be that of the batch itself.
            if record.pause and record.pause.failures == 1:
                record.pause = None

    def end_pauses(self, describer: str) -> None:
        """Try everything again that a problem has stopped, because the Describer was changed."""
        self.end_pause(describer)
        for record in self._of(describer):
            record.pause = None
            record.suspect_pauses.clear()

    def _of(self, describer: str) -> Iterator[BatchRecord]:
        return (it for it in self.batches.values() if it.batch.spec.describer == describer)

    def all_batches(self) -> list[ImageBatch]:
        """Return all ImageBatches."""
        return [record.batch for record in self.batches.values()]

    def active(self) -> Iterator[BatchRecord]:
        """Yield the ImageBatches whose images are being described."""
        return (self.batches[name] for name in self._active)

    def batch_of(self, shard: Shard) -> BatchRecord | None:
        """Return the shard's ImageBatch; None if it is not known."""
        name = self._uids.get(shard.spec.images.batch_uid)
        return self.batches[name] if name else None

    def shards_of(self, uid: str) -> ShardGroup:
        """Return the existing shards of the ImageBatch with this UID."""
        if uid not in self._shards_of:
            return NO_SHARDS
        if uid not in self._groups:
            self._groups[uid] = ShardGroup(self._shards_of[uid].values())

        return self._groups[uid]

    def orphaned(self) -> Iterator[Shard]:
        """Yield the shards whose ImageBatch has ended or is not known."""
        for uid, shards in self._shards_of.items():
            if self._uids.get(uid) not in self._active:
                yield from shards.values()

    def creating_for(self, uid: str) -> list[ShardSpec]:
        """Return the shards of an ImageBatch whose creation is in flight."""
        if not self.creating:
            return []

        return [it for it in self.creating.values() if it.images.batch_uid == uid]

    def covered(self, uid: str) -> RangeSet:
        """Return the indexes of images for which a shard exists or is being created."""
        creating = (it.images.range for it in self.creating_for(uid))
        return self.shards_of(uid).covered | RangeSet(creating)

    def assigned_to(self, worker: str) -> list[Shard]:
        """Return the shards that are assigned to a worker (pod name)."""
        return [self.shards[name] for name in self._by_worker.get(worker, ())]

    def workers(self) -> list[str]:
        """Return the workers (pod names) that have shards."""
        return list(self._by_worker)

    def cancelled_at(self, name: str) -> datetime | None:
        """Return when a processing shard was first seen with a request to end early."""
        return self._cancelled_at.get(name)

    def expired(self, now: datetime) -> Iterator[BatchRecord]:
        """Yield the ImageBatches that have expired, ordered by expiry.

        They have been finished for their time to live, or were not uploaded in time.
        """
        return (self.batches[name] for name in self._expiry.due(now))

    def begin_creation(self, spec: ShardSpec) -> None:
        """Record that a shard is being created. Until that ends, its images count as covered."""
        images = spec.images
        self.creating[shard_name(images.batch, images.batch_uid, images.first)] = spec

    def end_creation(self, name: str) -> None:
        """Record that the creation of a shard has ended, successfully or not."""
        self.creating.pop(name, None)

    def record_refusal(self, spec: ShardSpec, message: str) -> None:
        """Record that the API server refused to create a shard, for example because of a quota."""
        record = self.batches.get(spec.images.batch)
        if record and record.uid == spec.images.batch_uid:
            record.refusal = message

    def record_storage_problem(self, name: str, reason: str, message: str) -> None:
        """Record that the bucket did not store what an ImageBatch was to count."""
        if record := self.batches.get(name):
            record.storage_problem = (reason, message)

    def record_advance(self, name: str, now: datetime) -> None:
        """Record that an ImageBatch's status is being written."""
        if record := self.batches.get(name):
            record.last_advance = now

    def put_batch(self, batch: ImageBatch, ttl: timedelta | None, now: datetime) -> None:
        """Record the current state of an ImageBatch.

        `ttl` is the default time to live of finished ones; None means forever.
        """
        name, uid = batch.metadata.name, batch.metadata.uid
        before = self.batches.get(name)
        if before is None or before.uid != uid:
            self.drop_batch(name)
            before = self.batches[name] = BatchRecord(batch)
            self._uids[uid] = name
            self._restore_pause(batch, now)

        before.put(batch, now)
        self._active.pop(name, None)
        self._expiry.remove(name)
        if before.is_active:
            self._active[name] = None

        expiry = _expiry_of(batch, ttl, now)
        if expiry is not None:
            self._expiry.add(name, expiry)

    def drop_batch(self, name: str) -> None:
        """Forget an ImageBatch. Its shards become orphans."""
        record = self.batches.pop(name, None)
        if record is None:
            return

        del self._uids[record.uid]
        self._active.pop(name, None)
        self._expiry.remove(name)

    def put_shard(self, shard: Shard, now: datetime) -> Shard | None:
        """Record the current state of a shard; return its state before, if it was known."""
        name, before = shard.metadata.name, self.shards.get(shard.metadata.name)
        cancelled_at = self._cancelled_at.get(name, now)
        self.drop_shard(name)

        self.shards[name] = shard
        self._shards_of.setdefault(shard.spec.images.batch_uid, {})[name] = shard
        self._groups.pop(shard.spec.images.batch_uid, None)
        if shard.status.phase == "processing":
            self._by_worker.setdefault(shard.status.worker or "", {})[name] = None
            if shard.spec.cancel:
                self._cancelled_at[name] = cancelled_at

        if before is None and (record := self.batch_of(shard)):
            record.refusal = None

        is_same = before is not None and before.metadata.uid == shard.metadata.uid
        return before if is_same else None

    def drop_shard(self, name: str) -> Shard | None:
        """Forget a shard; return its last known state, if it was known."""
        shard = self.shards.pop(name, None)
        if shard is None:
            return None

        self._cancelled_at.pop(name, None)
        _discard(self._shards_of, shard.spec.images.batch_uid, name)
        self._groups.pop(shard.spec.images.batch_uid, None)
        if shard.status.phase == "processing":
            _discard(self._by_worker, shard.status.worker or "", name)

        return shard

    def _restore_pause(self, batch: ImageBatch, now: datetime) -> None:
        """After a restart, restore the pause that an ImageBatch's condition shows.

        One shard is tried immediately, instead of one for each worker.
        """
        waiting = batch.status.true_condition("Waiting")
        if batch.finished or waiting is None:
            return

        history = self.history(batch.spec.describer)
        if history.pause is None and stops_all(waiting.reason):
            history.pause = Pause(waiting.reason, waiting.message, now)

    def postpone(self, name: str, until: datetime) -> None:
        """Leave an expired ImageBatch alone until `until`, because it could not be deleted."""
        self._expiry.postpone(name, until)


def _expiry_of(batch: ImageBatch, ttl: timedelta | None, now: datetime) -> datetime | None:
    """Return when an ImageBatch is to be deleted; None if it is not, or is being deleted."""
    if batch.metadata.deletion_timestamp:
        return None
    if batch.finished:
        kept = batch.spec.ttl(ttl)
        return min(batch.status.completion_time or now, now) + kept if kept is not None else None
    if batch.is_being_uploaded:
        created = batch.metadata.creation_timestamp or now
        return created.astimezone(UTC) + timedelta(seconds=UPLOAD_SECONDS)

    return None


def _discard(index: dict[str, dict[str, V]], key: str, name: str) -> None:
    names = index[key]
    del names[name]
    if not names:
        del index[key]
