"""What is known about a Describer's shards, such as their speed, which determines their size."""

from dataclasses import dataclass
from datetime import datetime

from vision_node_contract.models.shard import Shard

from ..load import FIRST_GUESS_SECONDS
from .pause import Pause

NEWEST_WEIGHT = 0.4
"""Weight of the newest shard in the moving average. A shard is already the mean of many images, and
the first shards are too small for their time to be typical."""

MIN_SECONDS = 1e-5
"""Minimum time per image, so that nothing is divided by 0. No worker is that fast."""


@dataclass
class ShardHistory:
    """The speed of one Describer's shards so far, and the pause of its ImageBatches, if any."""

    seconds_per_image: float = FIRST_GUESS_SECONDS
    """Moving average of the time that a worker spends on an image of a shard."""
    measured_images: int = 0
    """Number of images of the largest measured shard; 0 if none was measured."""
    pause: Pause | None = None
    alone_ended: datetime | None = None
    """When a worker last ended a shard that it was trying alone; None if none has."""

    def measure(self, shard: Shard, now: datetime) -> None:
        """Record how long a finished shard took.

        Later attempts are not measured, because the start time is that of the first one. Shards
        that are tried alone are not typical.
        """
        status, images = shard.status, len(shard.ended)
        if not images or status.attempts != 1 or shard.spec.images.alone:
            return
        if not status.start_time or not status.completion_time:
            return

        took = (min(status.completion_time, now) - status.start_time).total_seconds()
        weight = NEWEST_WEIGHT if self.measured_images else 1.0
        self.seconds_per_image += weight * (max(0.0, took) / images - self.seconds_per_image)
        self.seconds_per_image = max(MIN_SECONDS, self.seconds_per_image)
        self.measured_images = max(self.measured_images, images)
