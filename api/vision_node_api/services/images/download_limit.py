"""Limit the memory of images that are being sent to clients."""

from collections.abc import Iterator
from contextlib import contextmanager

from ...web.owner_share import OwnerShare
from ...web.problems import Problem

MEMORY_BYTES = 64 << 20
"""Memory for images that are being sent, in bytes. An image stays in memory until its client has
it, because it is checked as a whole."""

RETRY_AFTER_SECONDS = "2"
"""Retry-After, in seconds, if the memory is used up."""


class DownloadLimit:
    """Counts the memory of images that are being sent, and refuses those beyond the limit."""

    def __init__(self, limit_bytes: int = MEMORY_BYTES) -> None:
        self.held_bytes = 0
        """Memory at present, in bytes."""
        self._limit = limit_bytes
        self.share = OwnerShare(
            limit_bytes,
            "receive images with up to {limit} bytes",
            "Download fewer images at the same time.",
            RETRY_AFTER_SECONDS,
        )
        """How many bytes one owner may receive at the same time."""

    @contextmanager
    def holding(self, size_bytes: int) -> Iterator[None]:
        """Count an image for the duration of the block. A single one always fits.

        Raises:
            Problem: 429 OwnerShareUsed; 503 TooManyDownloads.
        """
        with self.share.holding(size_bytes), self._counted(size_bytes):
            yield

    @contextmanager
    def _counted(self, size_bytes: int) -> Iterator[None]:
        if self.held_bytes and self.held_bytes + size_bytes > self._limit:
            detail = "This replica is sending too many images to others. Try again later."
            headers = {"Retry-After": RETRY_AFTER_SECONDS}
            raise Problem(503, "TooManyDownloads", detail, headers=headers)

        self.held_bytes += size_bytes
        try:
            yield
        finally:
            self.held_bytes -= size_bytes
