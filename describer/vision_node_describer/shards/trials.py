"""Set images aside whose failures may concern all images, until others show who is to blame."""

import asyncio
import time
from dataclasses import dataclass

from vision_node_contract.batch_objects import ManifestLine

from ..image_describer import Failure, ImageDescriber
from .verdict import Suspicion, suspicion_of


@dataclass(eq=False, slots=True)
class Trial:
    """The attempts at one image."""

    line: ManifestLine
    attempt: int = 0
    """Number of the latest attempt, starting at 1."""
    suspicion: Suspicion | None = None
    """What else may be to blame for the latest failure."""
    failed_at: float = 0.0
    """When the first of the consecutive failures with this suspicion ended (monotonic time)."""

    def record(self, failure: Failure) -> None:
        """Record a failed attempt."""
        suspicion = suspicion_of(failure.reason)
        if suspicion is not self.suspicion:
            self.suspicion, self.failed_at = suspicion, time.monotonic()


class Trials:
    """Knows which images of a shard are set aside, and whether others succeed."""

    def __init__(self, images: ImageDescriber) -> None:
        self._images = images
        self._aside: set[Trial] = set()
        self._changed = asyncio.Event()
        self._trying = 0
        """Number of seats whose image is not set aside."""

    def begin(self, seats: int) -> None:
        """Count the seats that begin to describe images."""
        self._trying += seats

    def end(self) -> None:
        """Count a seat that has ended."""
        self._trying -= 1
        self._changed.set()

    def attempt_ended(self) -> None:
        """Check again whether the images that are set aside must wait."""
        self._changed.set()

    def others_succeed(self, trial: Trial) -> bool:
        """Return whether an attempt has succeeded that began after the image's first failure."""
        images = self._images
        is_bucket = trial.suspicion is Suspicion.BUCKET
        return trial.failed_at < (images.newest_fetch if is_bucket else images.newest_success)

    def set_aside(self, trial: Trial) -> bool:
        """Set an image aside.

        Return False if another one is set aside for a similar reason, and none has succeeded since
        then, so that all images seem to be concerned.
        """
        for other in self._aside:
            if other.suspicion is trial.suspicion and not self.others_succeed(other):
                return False

        self._aside.add(trial)
        return True

    async def wait(self, trial: Trial) -> bool:
        """Wait until attempts at other images have shown who is to blame for a failure.

        Return whether one of them succeeds. If not, no other image is left to try.
        """
        self.end()
        try:
            while not self.others_succeed(trial):
                if not self._trying:
                    return False

                self._changed.clear()
                await self._changed.wait()
        finally:
            self._aside.discard(trial)
            self.begin(1)

        return True
