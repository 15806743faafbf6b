"""How much a describer is asked for: what the number of its workers follows."""

from dataclasses import dataclass
from datetime import datetime
from math import exp

FIRST_GUESS_SECONDS = 0.5
"""For an image, until one was measured; a photograph's metadata take a fifth of that, a model
longer."""

WEIGHT = 0.2
"""Of the newest image in the mean: a few odd ones change little, ten change most of it."""

SMOOTHING_SECONDS = 3.0
"""Over which the level is averaged: about three launches. What passes sooner needs no further
worker."""


@dataclass
class Demand:
    """Of one describer."""

    unfinished: int = 0
    """ImageJobs queued or in processing."""
    processing: int = 0
    seconds: float = FIRST_GUESS_SECONDS
    """An image takes, on the average of the last ones."""
    measured: bool = False

    _level: float = 0.0
    _since: datetime | None = None

    def change(self, by: int, now: datetime) -> None:
        """Take in that there are so many more (or fewer) unfinished ImageJobs."""
        self._level, self._since = self.level(now), now
        self.unfinished += by

    def level(self, now: datetime) -> float:
        """Return the unfinished ImageJobs on the average of the last seconds, the latest weighing most."""
        elapsed = (now - self._since).total_seconds() if self._since else 0.0
        return self.unfinished + (self._level - self.unfinished) * exp(
            -max(0.0, elapsed) / SMOOTHING_SECONDS
        )

    def measure(self, seconds: float) -> None:
        """Take in how long an image took."""
        weight = WEIGHT if self.measured else 1.0
        self.seconds += weight * (max(0.0, seconds) - self.seconds)
        self.measured = True
