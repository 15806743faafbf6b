"""Let a replica do a costly kind of work for only one request at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..web.problems import Problem

RETRY_AFTER_SECONDS = "10"
"""Retry-After, in seconds, while the work is done for another request."""


class OneAtATime:
    """Refuses a request while another one is being worked on.

    Args:
        busy: Complete sentence that says what this replica is doing for the other request.
    """

    def __init__(self, busy: str) -> None:
        self._busy = busy
        self._is_running = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Work on a request for the duration of the block.

        Raises:
            Problem: 429 TooManyRetries.
        """
        if self._is_running:
            headers = {"Retry-After": RETRY_AFTER_SECONDS}
            raise Problem(429, "TooManyRetries", f"{self._busy} Try again later.", headers=headers)

        self._is_running = True
        try:
            yield
        finally:
            self._is_running = False
