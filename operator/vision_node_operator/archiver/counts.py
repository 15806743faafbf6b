"""Count what the archiver has done with single ImageJobs."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class JobCounts:
    """Numbers of ImageJobs and rows since the process started."""

    archived: int = 0
    evicted: int = 0
    deleted: int = 0
    refused: int = 0
    unreadable: int = 0
    swept_at: datetime | None = None
    """When the last sweep of the objects of ImageJobs ended; None before the first."""
