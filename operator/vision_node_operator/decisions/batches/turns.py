"""Let owners, and the ImageBatches of each owner, take turns."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from .batch_view import BatchView

Rank = tuple[int, bool, int, int, datetime, str]
"""The place of an ImageBatch among others. The lowest comes first."""


class Turns:
    """The order of ImageBatches: by priority, then by the images in progress of owner and batch.

    Those that a problem has stopped come after the others of the same priority, because only they
    may have it.
    Among equals, the oldest ImageBatch comes first.
    """

    def __init__(self, batches: Iterable[BatchView]) -> None:
        self._by_owner: Counter[str] = Counter()
        self._by_batch: Counter[str] = Counter()
        for batch in batches:
            if images := batch.images_in_progress:
                self.take(batch, images)

    def take(self, batch: BatchView, images: int) -> None:
        """Record that some of the ImageBatch's images are being assigned."""
        self._by_owner[batch.record.owner or ""] += images
        self._by_batch[batch.record.uid] += images

    def rank(self, batch: BatchView) -> Rank:
        """Return the ImageBatch's place among others."""
        record = batch.record
        return (
            -record.batch.spec.priority,
            record.pause is not None,
            self._by_owner[record.owner or ""],
            self._by_batch[record.uid],
            record.created,
            record.name,
        )
