"""Limit how many clients read results of ImageBatches at the same time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ...web.fair_turns import FairTurns
from ...web.owner_share import OwnerShare
from ...web.problems import Problem

MAX_READERS = 20
"""Maximum number of clients that read existing results. Each takes up to 1 MiB."""

MAX_FOLLOWERS = 50
"""Maximum number of clients that follow running batches. Each takes up to 1 MiB while it gets
results, and a few kilobytes while it waits."""

MAX_CHUNKS = 2
"""Maximum number of chunks of frozen manifests in memory. They are read only for errors without a
line, and have up to 16 MiB."""

RETRY_AFTER_SECONDS = "10"
"""Retry-After, in seconds, if there are too many clients."""


class StreamLimit:
    """Counts streams, and refuses those beyond a limit.

    Args:
        limit: Maximum number of streams.
        kind: What the streams send, in the plural.
    """

    def __init__(self, limit: int, kind: str = "results") -> None:
        self.streams = 0
        """Number of streams at present."""
        self._limit = limit
        self.share = OwnerShare(
            limit,
            f"read {{limit}} streams of {kind}",
            "Let one of them end.",
            RETRY_AFTER_SECONDS,
        )
        """How many streams one owner may have."""

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """Count a stream for the duration of the block.

        Raises:
            Problem: 429 TooManyStreams, OwnerShareUsed.
        """
        with self.share.holding(), self._counted():
            yield

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self.streams >= self._limit:
            detail = (
                f"This replica already sends results to {self._limit} clients, which is the limit. "
                "Try again later."
            )
            headers = {"Retry-After": RETRY_AFTER_SECONDS}
            raise Problem(429, "TooManyStreams", detail, headers=headers)

        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """The limits on streams. Clients that wait for results can't keep others from reading."""

    readers: StreamLimit = field(default_factory=lambda: StreamLimit(MAX_READERS))
    followers: StreamLimit = field(
        default_factory=lambda: StreamLimit(MAX_FOLLOWERS, "results of running batches")
    )
    chunk_reads: FairTurns = field(default_factory=lambda: FairTurns(MAX_CHUNKS))
