"""Enforce a minimum rate for uploads. An upload may take a long time, but must make progress."""

from ..web.problems import Problem

GRACE_SECONDS = 30.0
"""Number of seconds for which an upload may stall at any time, for example because a phone switches
networks."""


class MinimumRate:
    """The time that an upload has left. Each received byte extends it.

    At first, the time left is the whole grace period. The time left decreases while the server
    waits for bytes. Each received byte increases it by the time that a byte takes at the minimum
    rate, but never beyond the grace period. An upload of n bytes therefore takes at most the grace
    period plus n divided by the minimum rate. A client that sends only one byte per second is
    stopped soon after the grace period.
    """

    def __init__(self, bytes_per_second: int, grace_seconds: float = GRACE_SECONDS) -> None:
        self._bytes_per_second = bytes_per_second
        self._grace_seconds = grace_seconds
        self.seconds_left = grace_seconds

    def record(self, received: int, waited_seconds: float) -> None:
        """Record the number of received bytes, and how long the server waited for them.

        Raises:
            Problem: 408 UploadTooSlow.
        """
        left = self.seconds_left - waited_seconds
        if left <= 0:
            raise self.too_slow()

        self.seconds_left = min(self._grace_seconds, left + received / self._bytes_per_second)

    def too_slow(self) -> Problem:
        """Return the problem for an upload that has no time left."""
        detail = (
            f"The upload is slower than the minimum rate of {self._bytes_per_second} bytes per "
            f"second, which applies after {self._grace_seconds:.0f} s. Send a smaller image, or "
            "use a faster connection."
        )
        return Problem(408, "UploadTooSlow", detail)


def longest_upload_seconds(
    upload_bytes: int, bytes_per_second: int, grace_seconds: float = GRACE_SECONDS
) -> float:
    """Return the maximum number of seconds that an upload of this size may take."""
    return grace_seconds + upload_bytes / bytes_per_second
