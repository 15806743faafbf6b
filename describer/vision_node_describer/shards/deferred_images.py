"""Defer images whose failures may concern all images, until others show who is to blame."""

import asyncio
import time
from dataclasses import dataclass

from vision_node_contract.batch_objects import ManifestLine

from ..image_describer import Failure, ImageDescriber
from .failure_action import Suspicion, suspicion_of


@dataclass(eq=False, slots=True)
class ImageAttempts:
    """The attempts at one image."""

    line: ManifestLine
    latest: int = 0
    """Number of the latest attempt, starting at 1."""
    suspicion: Suspicion | None = None
    """What else may be to blame for the latest failure."""
    failed_at: float = 0.0
    """When the latest failure ended (monotonic time)."""
    had_second_chance: bool = False
    """Whether the image was tried again after others had succeeded. Its earlier attempts may all
    have been made during an outage."""

    def record(self, failure: Failure) -> None:
        """Record a failed attempt."""
        self.suspicion, self.failed_at = suspicion_of(failure.reason), time.monotonic()


class DeferredImages:
    """Knows which images of a shard are deferred, and whether others succeed."""

    def __init__(self, images: ImageDescriber) -> None:
        self._images = images
        self._deferred: set[ImageAttempts] = set()
        self._changed = asyncio.Event()
        self._active = 0
        """Number of runners whose image is not deferred."""

    def begin(self, runners: int) -> None:
        """Count the runners that begin to describe images."""
        self._active += runners

    def end(self) -> None:
        """Count a runner that has ended."""
        self._active -= 1
        self._changed.set()

    def attempt_ended(self) -> None:
        """Check again whether the images that are deferred must wait."""
        self._changed.set()

    def others_succeed(self, attempts: ImageAttempts) -> bool:
        """Return whether an attempt has succeeded that began after the image's latest failure."""
        images = self._images
        is_bucket = attempts.suspicion is Suspicion.BUCKET
        return attempts.failed_at < (images.newest_fetch if is_bucket else images.newest_success)

    def defer(self, attempts: ImageAttempts) -> bool:
        """Defer an image.

        Return False if another one is deferred for a similar reason, and none has succeeded since
        then, so that all images seem to be concerned.
        """
        for other in self._deferred:
            if other.suspicion is attempts.suspicion and not self.others_succeed(other):
                return False

        self._deferred.add(attempts)
        return True

    async def wait(self, attempts: ImageAttempts) -> bool:
        """Wait until attempts at other images have shown who is to blame for a failure.

        Return whether one of them succeeds. If not, no other image is left to try.
        """
        self.end()
        try:
            while not self.others_succeed(attempts):
                if not self._active:
                    return False

                self._changed.clear()
                await self._changed.wait()
        finally:
            self._deferred.discard(attempts)
            self.begin(1)

        return True
