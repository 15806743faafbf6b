"""Count what the archiver has done with ImageBatches, for metrics."""

from dataclasses import dataclass


@dataclass
class BatchCounts:
    """Numbers since the process started."""

    archived: int = 0
    """Rows of images that were written."""
    refused: int = 0
    """Rows that PostgreSQL refused, so that they were stored without their result or not at all."""
    unreadable_objects: int = 0
    """Objects with results that are missing, or were altered. Their images have no rows."""
    unreadable_lines: int = 0
    """Lines in results that can't be read. Their images have no rows."""
    evicted: int = 0
    """ImageBatches that were deleted from the cluster, while their data stays."""
    deleted: int = 0
    """ImageBatches whose data was deleted."""
