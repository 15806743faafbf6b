"""The record of one ImageBatch: its state as last observed, and its rate."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.names import OWNER_LABEL
from vision_node_contract.ranges import Range, RangeSet

from ..object_versions import LONG_AGO
from .pause import Pause

RATE_WINDOW = timedelta(seconds=10)
"""Period for which the rate is measured. It contains several counts, because finished shards are
counted about once a second."""

MIN_RATE_PERIOD = timedelta(milliseconds=500)
"""Minimum length of the measured period. The rate of a shorter one is arbitrary."""


@dataclass
class BatchRecord:
    """The record of one ImageBatch."""

    batch: ImageBatch
    counted: RangeSet = field(default_factory=RangeSet)
    """Indexes of the images that have been counted. Parsing them takes time, so it is done once for
    each change."""
    suspects: Sequence[Range] = ()
    """Ranges of images that must be tried alone, parsed once as well."""
    refusal: str | None = None
    """Why the API server has refused to create the last shard; None if it has not."""
    storage_problem: tuple[str, str] | None = None
    """Reason and message if the bucket did not store what was to be counted; otherwise None."""
    pause: Pause | None = None
    """The pause of this ImageBatch alone, because its own manifest can't be read."""
    suspect_pauses: dict[Range, Pause] = field(default_factory=dict)
    """The pauses of ranges that are tried alone and that a problem has stopped.
    Such a problem may be that of the image, so other images do not wait."""
    last_advance: datetime | None = None
    """When this operator last started to write the status."""
    _samples: deque[tuple[datetime, int]] = field(default_factory=deque)
    """Times at which the number of counted images changed, with the number."""

    @property
    def name(self) -> str:
        """The ImageBatch's name."""
        return self.batch.metadata.name

    @property
    def uid(self) -> str:
        """The ImageBatch's UID."""
        return self.batch.metadata.uid

    @property
    def owner(self) -> str | None:
        """The ImageBatch's owner label; None if it has none."""
        return self.batch.metadata.labels.get(OWNER_LABEL) or None

    @cached_property
    def created(self) -> datetime:
        """When the ImageBatch was created."""
        # Times from pydantic have a time zone object each, which makes comparing them slow.
        return (self.batch.metadata.creation_timestamp or LONG_AGO).astimezone(UTC)

    @property
    def is_active(self) -> bool:
        """Whether the manifest is frozen and the ImageBatch has not ended."""
        return self.batch.status.phase == "processing"

    def put(self, batch: ImageBatch, now: datetime) -> None:
        """Record the ImageBatch's current state."""
        if batch.status.counted != self.batch.status.counted or not self._samples:
            self.counted = RangeSet() if batch.finished else batch.counted
            self._samples.append((now, batch.counts.ended))
            self._forget_pauses()
        if batch.index != self.batch.index:
            self.storage_problem = None
        if batch.status.suspects != self.batch.status.suspects or not self.suspects:
            self.suspects = batch.suspects
        while len(self._samples) > 1 and self._samples[1][0] <= now - RATE_WINDOW:
            self._samples.popleft()

        self.batch = batch

    def _forget_pauses(self) -> None:
        """Forget the pauses of images that have been counted."""
        for images in [it for it in self.suspect_pauses if self.counted.overlaps(it)]:
            del self.suspect_pauses[images]

    def rate(self, ended: int, now: datetime) -> float | None:
        """Return the images per second in the last few seconds; None if it is not known yet.

        `ended` is the number of images that have been counted by now.
        """
        recent = [sample for sample in self._samples if now - sample[0] <= RATE_WINDOW]
        since, before = recent[0] if recent else (now - RATE_WINDOW, self.batch.counts.ended)
        if now - since < MIN_RATE_PERIOD:
            return None

        return max(0, ended - before) / (now - since).total_seconds()
