"""Whether the state is fresh enough to base decisions on.

The process may have been paused, or the API server unavailable: deadlines have passed and Leases
have expired then, but only because nothing was seen in the meantime.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from vision_node_contract.leases import RENEW_SECONDS

PAUSE = timedelta(seconds=5)
"""Rounds are at most a second apart; if it was more than this, the process was paused."""

LEASE_WATCH_SILENCE = timedelta(seconds=2 * RENEW_SECONDS + 2)
"""The watch may be broken if workers serve and no Lease was renewed for two renewal periods."""

GRACE = timedelta(seconds=2 * RENEW_SECONDS)
"""Time for workers to report results and renew their Leases after the API server was unavailable.
They try every five seconds."""


@dataclass
class Freshness:
    """When the last round began, and when a Lease was last seen, by the operator's clock."""

    last_round: datetime
    last_lease: datetime
    cut_off: bool = False
    """Whether events may be missing: after a pause, or because the API server does not answer."""

    def begin_round(self, now: datetime) -> None:
        """Record that a round begins; if the last one was long ago, the process was paused."""
        self.cut_off |= now - self.last_round > PAUSE
        self.last_round = now

    def needs_resync(self, now: datetime, *, working: bool) -> bool:
        """Return whether to list everything before deciding; `working`: a worker has a Lease."""
        return self.cut_off or (working and now - self.last_lease > LEASE_WATCH_SILENCE)

    def resynced(self, now: datetime) -> None:
        """Record that everything was listed."""
        self.last_round = now
        self.cut_off = False
