"""Measure the load on a describer, which determines its number of workers."""

from dataclasses import dataclass
from datetime import datetime
from math import exp

from vision_node_contract.models.imagejob import ImageJob

FIRST_GUESS_SECONDS = 0.5
"""Assumed time per image until the first image is measured. Describing a photo from its metadata
takes a fifth of this time, and a model takes longer."""

NEWEST_WEIGHT = 0.2
"""Weight of the newest image in the moving average. A few outliers change the average only a
little, but the last ten images make up most of it."""

SMOOTHING_SECONDS = 3.0
"""Time constant of the average load: the time that about three launches take. A shorter peak does
not require another worker."""


@dataclass
class Load:
    """The load on one describer."""

    unfinished: int = 0
    """Number of ImageJobs that are queued or in processing."""
    processing: int = 0
    """Number of ImageJobs in processing."""
    seconds_per_image: float = FIRST_GUESS_SECONDS
    """Moving average of the time that an image takes."""
    _is_measured: bool = False

    _average: float = 0.0
    _average_at: datetime | None = None

    def add(self, job: ImageJob, now: datetime) -> None:
        """Count an unfinished ImageJob."""
        self._change(1, now)
        self.processing += job.status.phase == "processing"

    def remove(self, job: ImageJob, now: datetime) -> None:
        """Undo add() for an ImageJob. `job` must have the same status as when it was added."""
        self._change(-1, now)
        self.processing -= job.status.phase == "processing"

    def average(self, now: datetime) -> float:
        """Return the average number of unfinished ImageJobs during the last few seconds."""
        elapsed = (now - self._average_at).total_seconds() if self._average_at else 0.0
        decay = exp(-max(0.0, elapsed) / SMOOTHING_SECONDS)
        return self.unfinished + (self._average - self.unfinished) * decay

    def measure(self, seconds: float) -> None:
        """Record how long an image took."""
        weight = NEWEST_WEIGHT if self._is_measured else 1.0
        self.seconds_per_image += weight * (max(0.0, seconds) - self.seconds_per_image)
        self._is_measured = True

    def _change(self, by: int, now: datetime) -> None:
        self._average, self._average_at = self.average(now), now
        self.unfinished += by
