"""The shards of one ImageBatch, with what decisions derive from them."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from vision_node_contract.models.shard import Shard
from vision_node_contract.ranges import RangeSet


class ShardGroup:
    """The shards of one ImageBatch at one time, each kind with the oldest first.

    It never changes, so that what is derived from it is computed once, not in each round.
    """

    def __init__(self, shards: Iterable[Shard] = ()) -> None:
        self.all: Sequence[Shard] = sorted(shards, key=_age_of)
        """All shards."""
        self.queued = [it for it in self.all if it.status.phase == "queued"]
        """Those that wait for a worker."""
        self.queued_alone = [it for it in self.queued if it.spec.images.alone]
        """Those of them that need a worker to themselves."""
        self.queued_together = [it for it in self.queued if not it.spec.images.alone]
        """The others of them."""
        self.processing = [it for it in self.all if it.status.phase == "processing"]
        """Those that a worker has."""
        self.finished = [it for it in self.all if it.finished]
        """Those whose status is final."""

    @cached_property
    def covered(self) -> RangeSet:
        """The indexes of all images that the shards have."""
        return RangeSet(it.range for it in self.all)

    @cached_property
    def is_disjoint(self) -> bool:
        """Whether no two shards have an image in common."""
        return len(self.covered) == sum(it.range.size for it in self.all)


def _age_of(shard: Shard) -> tuple[str, int]:
    created = shard.metadata.creation_timestamp
    return created.isoformat() if created else "", shard.range.first


NO_SHARDS = ShardGroup()
"""The group of each ImageBatch that has no shards."""
