"""Detect that the worker is hung: stuck threads keep its attempts from ending."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from .image_describer import SHARE_OF_ATTEMPT
from .running_attempt import RunningAttempt

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watch:
    """The state recorded when an attempt's next check was scheduled."""

    timer: asyncio.TimerHandle
    ended_in_time: int
    slow: frozenset[RunningAttempt] | None
    """Slow attempts that explained, at the last check, why no attempt had ended in time. None if no
    explanation was needed."""


class HangWatchdog:
    """Calls `on_hang` if a released attempt keeps running and no other attempt ends in time.

    The operator cannot detect such a hang. If an ImageJob exceeds its own timeout, this timeout may
    simply be too short. The worker therefore checks after the Describer's timeout, or after the
    ImageJob's if that is longer.
    """

    def __init__(self, timeout_seconds: float, on_hang: Callable[[], None]) -> None:
        """Prepare to watch a worker's attempts.

        Args:
            timeout_seconds: The Describer's timeout for one attempt.
            on_hang: Function to call when the worker is hung. It is called in the event loop,
                possibly more than once.
        """
        self._timeout_seconds = timeout_seconds
        self._on_hang = on_hang
        self._watches: dict[RunningAttempt, _Watch] = {}
        self._ended_in_time = 0
        """Number of attempts that ended before their timeout. Attempts that timed out don't count,
        because they may have been waiting for hung threads."""

    def started(self, attempt: RunningAttempt) -> None:
        """Start to watch an attempt."""
        self._schedule_check(attempt)

    def ended(self, attempt: RunningAttempt) -> None:
        """Stop watching an attempt, because its task has ended."""
        self._watches.pop(attempt).timer.cancel()
        seconds = asyncio.get_running_loop().time() - attempt.started_at
        if seconds < SHARE_OF_ATTEMPT * attempt.timeout_seconds:
            self._ended_in_time += 1

    def _schedule_check(
        self, attempt: RunningAttempt, slow: frozenset[RunningAttempt] | None = None
    ) -> None:
        call_later = asyncio.get_running_loop().call_later
        timer = call_later(self._patience_seconds(attempt), self._check, attempt)
        self._watches[attempt] = _Watch(timer, self._ended_in_time, slow)

    def _patience_seconds(self, attempt: RunningAttempt) -> float:
        return max(self._timeout_seconds, attempt.timeout_seconds)

    def _check(self, attempt: RunningAttempt) -> None:
        """Report a hang if an attempt is released but still running, with two exceptions.

        First, the worker is not hung if another attempt has ended in time since the last check.
        Second, slow attempts may explain why no attempt has ended in time. At later checks, only
        attempts that were already slow at the first check count as an explanation. If these time
        out, they were probably waiting for the hung thread, and later attempts probably are too.
        """
        watch = self._watches[attempt]
        if not attempt.released or self._ended_in_time != watch.ended_in_time:
            self._schedule_check(attempt)
            return

        slow = self._slow_attempts()
        if watch.slow is not None:
            slow &= watch.slow

        if slow:
            self._schedule_check(attempt, slow)
            return

        log.error(
            "worker is hung: ImageJob %s has run for more than %g s",
            attempt.assignment.name,
            self._patience_seconds(attempt),
        )
        self._on_hang()

    def _slow_attempts(self) -> frozenset[RunningAttempt]:
        """Return attempts that are still assigned and have run for over half of the timeout."""
        half_a_timeout_ago = asyncio.get_running_loop().time() - self._timeout_seconds / 2
        return frozenset(
            attempt
            for attempt in self._watches
            if not attempt.released and attempt.started_at < half_a_timeout_ago
        )
