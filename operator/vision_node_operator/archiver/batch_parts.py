"""What the archiver uses for ImageBatches, with and without a database."""

from dataclasses import dataclass
from typing import Self

from ..runtime.storage_ownership import StorageOwnership
from .batch_history.batch_history import BatchHistory, BatchRetention, BatchStores
from .batch_history.folder_guard import FolderGuard
from .batch_history.link_holds import LinkHolds
from .batches import BatchClient
from .folder_cleaner import FolderCleaner
from .history.link import Surroundings
from .jobs.history_jobs import HistoryJobs
from .settings import Settings
from .sweep_guard import FormerHistory, SweepGuard


@dataclass(frozen=True, slots=True)
class BatchParts:
    """Clients, the history if there is one, and the guard of the sweep."""

    batches: BatchClient
    cleaner: FolderCleaner
    ownership: StorageOwnership
    guard: SweepGuard
    history: BatchHistory | None = None

    @classmethod
    def of(cls, around: Surroundings, settings: Settings, jobs: HistoryJobs | None = None) -> Self:
        """Return the parts; `jobs` is the work on single ImageJobs if there is a database."""
        bucket, ownership = around.bucket, around.ownership
        batches = BatchClient(around.kube, settings.namespace)
        cleaner = FolderCleaner(bucket, ownership)
        if jobs is None or settings.history is None:
            return cls(batches, cleaner, ownership, FormerHistory(bucket))

        holds = LinkHolds(jobs.link)
        retention = BatchRetention(settings.history.imagejobs, settings.history.data)
        stores = BatchStores(batches, bucket, cleaner, jobs.store)
        history = BatchHistory(stores, holds, retention)
        jobs.link.on_lost_rows.append(history.write_again)

        return cls(batches, cleaner, ownership, FolderGuard(jobs.store, holds), history)
