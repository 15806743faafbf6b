"""How fast a provider may be asked, and by how many at once: what its Describer allows, and what it asks for.

The operator alone keeps to it, whatever number of workers there is: what has no turn yet stays
queued.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf

from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import Reason

AHEAD = timedelta(seconds=1)
"""An image is assigned so long before its turn, or its turn would pass before the next look: the
loop looks once a second when nothing happens."""

LONGEST_WAIT = timedelta(minutes=1)
"""After refusals in a row: what providers count, they count by the minute."""


def interval_of(requests_per_minute: int, requests_per_image: int) -> timedelta:
    """Return the time between two images; 0: there is no limit.

    What may be assigned ahead is made up for, so that no 60 s see more than a minute's requests.
    """
    if not requests_per_minute:
        return timedelta(0)
    return (timedelta(minutes=1) + AHEAD) * requests_per_image / requests_per_minute


@dataclass
class Pace:
    """Of one describer."""

    next_turn: datetime
    """When the next image may be asked about."""
    closed_until: datetime
    """As the provider wants it."""
    at_once: float = inf
    """Most images in work."""
    refusals: int = 0
    """In a row, those of images that were in work together counted as one."""

    def take(self, interval: timedelta, now: datetime) -> None:
        """Take in that an image is assigned; the next one's turn is an interval later."""
        self.next_turn = max(self.next_turn, now) + interval

    def learn(self, job: ImageJob, now: datetime) -> None:
        """Take in what an image's end says: who is refused waits, and comes back as one.

        Each that is described then lets in one more (as TCP's slow start does, RFC 5681, 3.1), so
        that few images meet the limit, and each of them seldom.
        """
        status = job.status
        error = status.error if status.phase == "processing" else None
        if error and (error.reason == Reason.RATE_LIMITED or error.retry_after_seconds):
            self._close(timedelta(seconds=error.retry_after_seconds or 0), now)
        elif status.phase == "done" and not (status.result and status.result.fallback):
            self.at_once += 1
            self.refusals = 0

    def recall(self, job: ImageJob, now: datetime) -> None:
        """Take in what an operator before us saw: an image that was refused waits for its next attempt."""
        error, due = job.status.error, job.status.next_attempt_time
        if job.status.phase == "queued" and error and error.reason == Reason.RATE_LIMITED and due:
            self.at_once = 1
            self.closed_until = max(self.closed_until, min(due, now + LONGEST_WAIT))

    def allowance(self, interval: timedelta, in_work: int, now: datetime) -> int | None:
        """Return how many further images may be assigned now; None: any number."""
        if now < self.closed_until:
            return 0
        ahead = now + AHEAD - max(self.next_turn, now)
        turns = ahead // interval + 1 if interval else inf
        most = min(turns, self.at_once - in_work)
        return None if most == inf else max(0, int(most))

    def useful(self, interval: timedelta, seconds: float) -> float:
        """Return how many images can be in work, when each takes so many seconds (Little's law)."""
        turns = seconds / interval.total_seconds() if interval else inf
        return min(turns, self.at_once)

    def _close(self, asked_for: timedelta, now: datetime) -> None:
        """Assign nothing for as long as is asked for, or for ever longer when that is too short."""
        if now >= self.closed_until:
            self.refusals += 1
        doubled = 2.0 ** min(self.refusals - 1, 10)  # no float holds those of a day
        own = min(LONGEST_WAIT, timedelta(seconds=doubled))
        self.at_once = 1
        self.closed_until = max(self.closed_until, now + asked_for, now + own)
