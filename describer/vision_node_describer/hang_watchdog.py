"""Detects that the worker is hung: its threads are stuck, so that no attempt ends."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from .attempt import SHARE_OF_ATTEMPT
from .running_attempt import RunningAttempt

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watch:
    """What was known when the next check of an attempt was scheduled."""

    timer: asyncio.TimerHandle
    ended_in_time: int
    slow: frozenset[RunningAttempt] | None
    """Attempts that explained at the last check why nothing had ended; None if none had to."""


class HangWatchdog:
    """Calls `on_hang` when a released attempt continues and no other attempt ends in time.

    The operator cannot see this: when a short timeout of an ImageJob is missed, its user may just
    be impatient. So the worker waits for as long as the Describer allows, or the ImageJob if that
    is longer, and then checks.
    """

    def __init__(self, timeout_seconds: float, on_hang: Callable[[], None]) -> None:
        """Watch attempts with a describer.

        Args:
            timeout_seconds: The Describer's timeout of an attempt.
            on_hang: Called in the event loop, possibly more than once.
        """
        self._timeout_seconds = timeout_seconds
        self._on_hang = on_hang
        self._watches: dict[RunningAttempt, _Watch] = {}
        self._ended_in_time = 0
        """Attempts that ended before their timeout. Others don't count: they may have waited for
        threads that hang."""

    def started(self, attempt: RunningAttempt) -> None:
        """Watch an attempt from its start."""
        self._schedule_check(attempt)

    def ended(self, attempt: RunningAttempt) -> None:
        """Watch an attempt no longer, because its task has ended."""
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
        """Report a hang unless something has ended, or a slow attempt explains why nothing has.

        At later checks only attempts that were slow at the first one explain it. When they time out
        instead of ending in time, they probably waited for the hung thread, and so do the attempts
        after them.
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
        """Return the attempts still assigned to this worker that have run for half the timeout."""
        half_a_timeout_ago = asyncio.get_running_loop().time() - self._timeout_seconds / 2
        return frozenset(
            attempt
            for attempt in self._watches
            if not attempt.released and attempt.started_at < half_a_timeout_ago
        )
