"""Determine whether the state is fresh enough for decisions, and whether the operator is stuck.

While the process is paused or the API server is unavailable, the operator receives no events. So
workers may seem to have missed deadlines or stopped renewing their Leases although they are fine.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vision_node_contract.leases import RENEW_SECONDS

PAUSE = timedelta(seconds=5)
"""If more time than this passes between two rounds, the process must have been paused. Rounds are
normally at most a second apart."""

LEASE_WATCH_SILENCE = timedelta(seconds=2 * RENEW_SECONDS + 2)
"""How long the watch may go without reporting a Lease while workers serve. After two renewal
periods without an event, the watch may be broken."""

GRACE = timedelta(seconds=2 * RENEW_SECONDS)
"""How long workers have to report results and renew their Leases after the API server was
unavailable. They retry every five seconds."""

STUCK_SECONDS = 30.0
"""How long the operator may go without progress before it counts as stuck and the liveness probe
fails. Every request ends after 10 s, and no pause between attempts is longer than that."""


@dataclass
class Heartbeat:
    """When the operator last made progress: a round, a page of a list, or a failed request.

    An operator that waits for the API server, or reads a long list, makes progress, because a
    restart would not help it. An operator whose loop hangs makes none.
    """

    _last: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """Record progress."""
        self._last = time.monotonic()

    def check(self) -> float:
        """Return the seconds since the last progress, for the liveness probe.

        Raises:
            RuntimeError: The operator is stuck.
        """
        age = time.monotonic() - self._last
        if age > STUCK_SECONDS:
            raise RuntimeError(f"no progress for {age:.0f} s")

        return age


@dataclass
class Freshness:
    """When the last round began, and when a Lease was last observed, by the operator's clock."""

    last_round: datetime
    last_lease: datetime
    cut_off: bool = False
    """Whether events may be missing, because the process was paused or the API server does not
    answer."""

    def begin_round(self, now: datetime) -> None:
        """Record the start of a round. If the last round was long ago, events may be missing."""
        self.cut_off |= now - self.last_round > PAUSE
        self.last_round = now

    def needs_resync(self, now: datetime, *, working: bool) -> bool:
        """Return whether to list all objects before deciding.

        `working` says whether any worker has a Lease.
        """
        return self.cut_off or (working and now - self.last_lease > LEASE_WATCH_SILENCE)

    def resynced(self, now: datetime) -> None:
        """Record that all objects were listed."""
        self.last_round = now
        self.cut_off = False
