"""Whether what the operator knows is fresh enough to decide upon.

Somebody may have stopped its process, or the API server been away: deadlines have passed and Leases
have fallen silent, but only because nobody looked.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

ASLEEP = timedelta(seconds=5)
"""Rounds are a second apart at most: after more, somebody has stopped this process for a while."""

SILENT = timedelta(seconds=12)
"""Workers renew their Leases every 5 s: after two of them, the watch may be broken."""

DAZED = timedelta(seconds=10)
"""Time for workers to commit and to renew their Leases after the API server was away: they try
every 5 s."""


@dataclass
class Alertness:
    """When the loop last went round, and when a Lease was last heard of, by the operator's clock."""

    last_round: datetime
    last_heard: datetime
    cut_off: bool = False
    """Nothing could be seen: by our sleep, or because the API server does not answer."""

    def must_look(self, now: datetime, *, working: bool) -> bool:
        """Begin a round, with workers that have Leases or not; return whether all is to be listed anew."""
        self.cut_off |= now - self.last_round > ASLEEP
        self.last_round = now
        return self.cut_off or (working and now - self.last_heard > SILENT)

    def looked(self, now: datetime) -> datetime | None:
        """Take in that all was listed; return until when nobody is late or silent, if we were cut off."""
        self.last_round = now
        was_cut_off, self.cut_off = self.cut_off, False
        return now + DAZED if was_cut_off else None
