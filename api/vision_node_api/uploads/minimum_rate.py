"""The minimum rate of an upload, which may take long, but has to make progress."""

from ..web.problems import Problem

GRACE_SECONDS = 30.0
"""How long an upload may stall, at its start or later, as when a phone changes networks."""


class MinimumRate:
    """The time that one upload has left, which each received byte extends.

    An upload starts with the grace period. Waiting for bytes uses it up, and each byte gives back
    the time that it may take at the minimum rate. The time left never exceeds the grace period. So
    an upload of n bytes takes at most the grace period plus n divided by the rate, and a client
    that sends a byte a second is stopped after the grace period.
    """

    def __init__(self, bytes_per_second: int, grace_seconds: float = GRACE_SECONDS) -> None:
        self._bytes_per_second = bytes_per_second
        self._grace_seconds = grace_seconds
        self.seconds_left = grace_seconds

    def record(self, received: int, waited_seconds: float) -> None:
        """Count received bytes, and the seconds that the server waited for them.

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
            f"The upload is slower than {self._bytes_per_second} bytes a second, the minimum after "
            f"{self._grace_seconds:.0f} s. Send a smaller image, or use a faster connection."
        )
        return Problem(408, "UploadTooSlow", detail)


def longest_upload_seconds(
    upload_bytes: int, bytes_per_second: int, grace_seconds: float = GRACE_SECONDS
) -> float:
    """Return the longest time, in seconds, that an upload of that many bytes may take."""
    return grace_seconds + upload_bytes / bytes_per_second
