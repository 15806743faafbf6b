"""Let a replica do a costly kind of work for only one request of an owner at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..web.access import current_access
from ..web.problems import Problem

MAX_RUNNING = 2
"""Maximum number of requests at the same time. With a single one, an owner could keep all others
out. Without authentication, there is only one."""

RETRY_AFTER_SECONDS = "10"
"""Retry-After, in seconds, while the work is done for another request."""


class OneAtATime:
    """Refuses a request while another one of the same owner, or MAX_RUNNING, are being worked on.

    Args:
        busy: Complete sentence that says what this replica is doing for other requests.
    """

    def __init__(self, busy: str) -> None:
        self._busy = busy
        self._owners: set[str] = set()
        """The owners of the requests that are being worked on."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Work on a request for the duration of the block.

        Raises:
            Problem: 429 TooManyRetries.
        """
        owner = current_access().owner
        if owner in self._owners or len(self._owners) >= MAX_RUNNING:
            headers = {"Retry-After": RETRY_AFTER_SECONDS}
            raise Problem(429, "TooManyRetries", f"{self._busy} Try again later.", headers=headers)

        self._owners.add(owner)
        try:
            yield
        finally:
            self._owners.discard(owner)
