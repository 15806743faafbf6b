"""Keep what is known about an ImageBatch in the cluster."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from vision_node_contract.models.imagebatch import ImageBatch, ImageBatchStatus

from ..history.store import ArchivedBatch

Eviction = Literal["none", "asked", "done", "unmark"]
"""How far an eviction is: none has begun; it was asked for, and the answer is missing; it is done,
but the watch has not shown it yet; or it was refused, so the mark in the row must be removed."""


@dataclass
class LiveBatch:
    """An ImageBatch in the cluster, without its status, which has up to 32 kB."""

    uid: str
    name: str
    batch: ImageBatch | None = None
    """The ImageBatch without its status; None if this release can't read it."""
    version: int = 0
    """Its resourceVersion."""
    index: int = 0
    """Number of index objects that list its results."""
    finished_at: datetime | None = None
    """When it ended; None if it has not."""
    is_deleting: bool = False
    """Whether its deletion waits for a finalizer."""
    row: ArchivedBatch | None = None
    """Its row in the database; None if it is unknown."""
    row_version: int = 0
    """The resourceVersion of the ImageBatch in the row."""
    eviction: Eviction = "none"
    is_gone: bool = False
    """Whether the watch has reported its deletion."""
    refused_at: datetime | None = None
    """When the API server last refused to delete it for an eviction; None if it did not."""
    failures: int = 0
    """Consecutive failures to archive it."""
    due: float = 0.0
    """Monotonic time in seconds before which it is not tried again."""

    def observe(self, batch: ImageBatch, now: datetime) -> None:
        """Note the state of the ImageBatch.

        It may be older than a known one, because it was read apart from the watch, or because the
        cluster was restored from a backup.
        """
        self.version, self.index = int(batch.metadata.resource_version), batch.index
        if self.eviction == "done" and self.version != self.row_version:
            self.eviction = "none"

        self.finished_at = end_of(batch, now) if batch.finished else None
        self.is_deleting = batch.metadata.deletion_timestamp is not None
        # Images without results are found in the manifest. The rest may have 32 kB.
        status = ImageBatchStatus(manifest=batch.status.manifest)
        self.batch = batch.model_copy(update={"status": status})

    @property
    def needs_row(self) -> bool:
        """Whether its row is unknown, or must get the final state."""
        if self.row is None:
            return True

        return self.finished_at is not None and self.row_version != self.version

    @property
    def has_work(self) -> bool:
        """Whether something is to be written to the database."""
        if self.batch is None:
            return False

        return self.needs_row or (self.row is not None and self.row.archived_index < self.index)

    @property
    def is_archived(self) -> bool:
        """Whether it is finished, and everything is in the database."""
        return self.batch is not None and self.finished_at is not None and not self.has_work


def end_of(batch: ImageBatch, now: datetime) -> datetime:
    """Return when a finished ImageBatch ended; `now` if it does not say so."""
    return batch.status.completion_time or now
