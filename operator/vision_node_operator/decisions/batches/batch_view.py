"""The data about one ImageBatch for one round of decisions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.shard import Shard
from vision_node_contract.ranges import Range, RangeSet

from ...state.batches.record import BatchRecord
from ...state.state import State, key_of


@dataclass(frozen=True)
class BatchView:
    """A processing ImageBatch and its shards."""

    state: State
    record: BatchRecord
    now: datetime

    @property
    def batch(self) -> ImageBatch:
        """The ImageBatch."""
        return self.record.batch

    @property
    def all_images(self) -> Range:
        """The indexes of all images. There is at least one."""
        return Range(0, max(1, self.batch.total) - 1)

    @cached_property
    def goes_on(self) -> bool:
        """Whether more of its images are to be described."""
        is_deleting = self.batch.metadata.deletion_timestamp is not None
        return not (is_deleting or self.batch.spec.suspend or self.batch.stop_reason)

    @cached_property
    def shards(self) -> Sequence[Shard]:
        """The existing shards, oldest first."""
        return sorted(self.state.batches.shards_of(self.record.uid), key=age_of)

    @cached_property
    def queued(self) -> Sequence[Shard]:
        """The shards that wait for a worker, oldest first."""
        return [shard for shard in self.shards if shard.status.phase == "queued"]

    @cached_property
    def finished(self) -> Sequence[Shard]:
        """The shards whose status is final, oldest first."""
        return [shard for shard in self.shards if shard.finished]

    @cached_property
    def in_work(self) -> Sequence[Shard]:
        """The shards that are assigned to a worker, or are being assigned."""
        pending = self.state.pending_writes
        return [
            shard
            for shard in self.shards
            if shard.status.phase == "processing"
            or (shard.status.phase == "queued" and pending.get(key_of(shard)))
        ]

    @property
    def images_in_work(self) -> int:
        """Number of images of the shards in `in_work`."""
        return sum(shard.range.size for shard in self.in_work)

    @cached_property
    def suspects(self) -> RangeSet:
        """The indexes of images that must be tried alone."""
        return RangeSet(self.batch.suspects)

    @cached_property
    def left(self) -> int:
        """Number of images that have neither been described nor failed."""
        counted = self.record.counted
        uncounted = sum(
            len(shard.ended) for shard in self.finished if not counted.overlaps(shard.range)
        )
        return max(0, self.batch.total - self.batch.counts.ended - uncounted)

    @property
    def begun(self) -> int:
        """Number of images that have been counted, or for which a shard exists."""
        return len(self.record.counted | self.state.batches.covered(self.record.uid))

    def is_settled(self, shard: Shard) -> bool:
        """Return whether a finished shard may be deleted: it has been counted, or must not be.

        All its ended images must be counted, and its suspects must be in the status. If only some
        of its images are counted, others described them, too, and it must never be counted.
        """
        counted = self.record.counted
        if not counted.issuperset(shard.ended):
            return not counted.isdisjoint(shard.ended)

        return all(self._is_known_suspect(it) for it in shard.suspects)

    def redundant(self) -> Iterable[Shard]:
        """Yield queued shards whose images have been counted or also belong to another shard.

        An operator that has been replaced may have created them late. Images that must be tried
        alone must not share a shard with others.
        """
        taken = self.record.counted
        taken |= RangeSet(it.range for it in self.shards if it.status.phase != "queued")
        for shard in self.queued:
            alone = shard.spec.images.alone
            if taken.overlaps(shard.range) or (not alone and self.suspects.overlaps(shard.range)):
                yield shard
            else:
                taken |= RangeSet([shard.range])

    def _is_known_suspect(self, suspect: Range) -> bool:
        """Return whether the range, or each part of it, is counted or is to be tried alone."""
        parts = [
            it
            for it in self.batch.suspects
            if suspect.first <= it.first and it.last <= suspect.last
        ]
        return (self.record.counted | RangeSet(parts)).issuperset(RangeSet([suspect]))


def age_of(shard: Shard) -> tuple[str, int]:
    """Return the key by which shards are sorted: the oldest comes first."""
    created = shard.metadata.creation_timestamp
    return created.isoformat() if created else "", shard.range.first


def views(state: State, now: datetime) -> dict[str, list[BatchView]]:
    """Return the processing ImageBatches, by Describer."""
    found: dict[str, list[BatchView]] = {}
    for record in state.batches.active():
        found.setdefault(record.batch.spec.describer, []).append(BatchView(state, record, now))

    return found
