"""The data about one ImageBatch for one round of decisions."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from operator import attrgetter

from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.shard import Shard
from vision_node_contract.ranges import Range, RangeSet

from ...state.batches.record import BatchRecord
from ...state.batches.shard_group import ShardGroup
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
    def is_running(self) -> bool:
        """Whether more of its images are to be described."""
        is_deleting = self.batch.metadata.deletion_timestamp is not None
        return not (is_deleting or self.batch.spec.suspend or self.batch.stop_reason)

    @cached_property
    def _group(self) -> ShardGroup:
        """The shards as they are in this round."""
        return self.state.batches.shards_of(self.record.uid)

    @property
    def shards(self) -> Sequence[Shard]:
        """The existing shards, oldest first."""
        return self._group.all

    @property
    def queued(self) -> Sequence[Shard]:
        """The shards that wait for a worker, oldest first."""
        return self._group.queued

    @property
    def queued_alone(self) -> Sequence[Shard]:
        """Those of them that need a worker to themselves."""
        return self._group.queued_alone

    @property
    def queued_together(self) -> Sequence[Shard]:
        """Those of them that share a worker with single images."""
        return self._group.queued_together

    @property
    def finished(self) -> Sequence[Shard]:
        """The shards whose status is final, oldest first."""
        return self._group.finished

    @cached_property
    def in_progress(self) -> Sequence[Shard]:
        """The shards that are assigned to a worker, or are being assigned."""
        pending = self.state.pending_writes
        being_assigned = [it for it in self.queued if pending.get(key_of(it))] if pending else []
        return [*self._group.processing, *being_assigned]

    @property
    def images_in_progress(self) -> int:
        """Number of images of the shards in `in_progress`."""
        return sum(shard.range.size for shard in self.in_progress)

    @cached_property
    def suspects(self) -> RangeSet:
        """The indexes of images that must be tried alone."""
        return RangeSet(self.record.suspects)

    @cached_property
    def left(self) -> int:
        """Number of images that have neither been described nor failed."""
        counted = self.record.counted
        uncounted = sum(
            len(shard.ended) for shard in self.finished if not counted.overlaps(shard.range)
        )
        return max(0, self.batch.total - self.batch.counts.ended - uncounted)

    @property
    def may_probe(self) -> bool:
        """Whether one shard may be tried although the ImageBatch alone is paused."""
        pause = self.record.pause
        return pause is not None and self.now >= pause.probe_at and not self.in_progress

    @property
    def counted_or_covered(self) -> int:
        """Number of images that have been counted, or for which a shard exists."""
        return len(self.record.counted | self.state.batches.covered(self.record.uid))

    def may_be_deleted(self, shard: Shard) -> bool:
        """Return whether a finished shard may be deleted: it has been counted, or must not be.

        All its ended images must be counted, and its suspects must be in the status. If only some
        of its images are counted, others described them, too, and it must never be counted.
        """
        counted = self.record.counted
        if not counted.issuperset(shard.ended):
            return not counted.isdisjoint(shard.ended)

        return all(self._is_known_suspect(it) for it in shard.suspects)

    @cached_property
    def redundant(self) -> Sequence[Shard]:
        """Queued shards whose images have been counted or belong to another shard, too.

        An operator that has been replaced may have created them late. Images that must be tried
        alone must not share a shard with others.
        """
        counted, queued = self.record.counted, self.queued
        if not queued:
            return ()

        is_any_counted = bool(counted.ranges) and any(counted.overlaps(it.range) for it in queued)
        if self._group.is_disjoint and not (is_any_counted or self.record.suspects):
            return ()

        found: list[Shard] = []
        kept = [*RangeSet(it.range for it in self.shards if it.status.phase != "queued").ranges]
        for shard in queued:
            images, is_alone = shard.range, shard.spec.images.alone
            place = bisect_right(kept, images.last, key=attrgetter("first"))
            is_taken = place > 0 and kept[place - 1].overlaps(images)
            is_suspect = not is_alone and self.suspects.overlaps(images)
            if is_taken or is_suspect or counted.overlaps(images):
                found.append(shard)
            else:
                kept.insert(place, images)

        return found

    def _is_known_suspect(self, suspect: Range) -> bool:
        """Return whether the range, or each part of it, is to be tried alone.

        A range with a counted image never is (see batch_transitions.py).
        """
        if self.record.counted.overlaps(suspect):
            return True

        parts = [
            it
            for it in self.record.suspects
            if suspect.first <= it.first and it.last <= suspect.last
        ]
        return RangeSet(parts).issuperset(RangeSet([suspect]))


def views(state: State, now: datetime) -> dict[str, list[BatchView]]:
    """Return the processing ImageBatches, by Describer."""
    found: dict[str, list[BatchView]] = {}
    for record in state.batches.active():
        found.setdefault(record.batch.spec.describer, []).append(BatchView(state, record, now))

    return found
