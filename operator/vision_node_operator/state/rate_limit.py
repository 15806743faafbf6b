"""Limit the rate of requests to a provider, and the number of concurrent requests.

The Describer sets the rate. If the provider refuses a request, assignments pause, and then resume
with one image at a time. The operator alone enforces the limit, so the limit applies to all workers
together. ImageJobs over the limit stay queued.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf

from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import Reason

AHEAD = timedelta(seconds=1)
"""How far ahead of its slot an image may be assigned. Without events, the loop runs only once per
second and would otherwise miss slots."""

LONGEST_WAIT = timedelta(minutes=1)
"""Longest pause after consecutive refusals. Providers limit the requests per minute, so a longer
pause would be useless."""


LONG_BLOCK = timedelta(seconds=5)
"""Minimum length of a pause that counts as long. After most refusals, requests are accepted again
sooner, and no person needs to know."""


def interval_of(requests_per_minute: int, requests_per_image: int) -> timedelta:
    """Return the minimum time between two images; 0 means no limit.

    Images may be assigned ahead of their slots, so the interval is a little longer than the rate
    requires. As a result, no period of 60 s has more than `requests_per_minute` requests.
    """
    if not requests_per_minute:
        return timedelta(0)

    return (timedelta(minutes=1) + AHEAD) * requests_per_image / requests_per_minute


@dataclass
class RateLimit:
    """The rate limit of one describer."""

    next_slot: datetime
    """Earliest time at which the next image may be sent to the provider."""
    blocked_until: datetime
    """When the provider accepts requests again after a refusal."""
    concurrency_limit: float = inf
    """Maximum number of images in processing."""
    refusals: int = 0
    """Number of consecutive refusals. Refusals of images that were in processing at the same time
    count as one."""
    refused_since: datetime | None = None
    """When the first of the consecutive refusals was observed; None if there has been none."""

    def take_slot(self, interval: timedelta, now: datetime, images: int = 1) -> None:
        """Record that images were assigned. The next slot is one interval per image later."""
        self.next_slot = max(self.next_slot, now) + interval * images

    def record_outcome(self, job: ImageJob, now: datetime) -> None:
        """Record the outcome of an attempt.

        After a refusal, assignments pause and then resume with one image. Each success allows one
        more image, as in TCP slow start (RFC 5681, 3.1). As a result, few images are refused, and
        the same image is rarely refused several times.
        """
        status = job.status
        error = status.error if status.phase == "processing" else None

        if error and (error.reason == Reason.RATE_LIMITED or error.retry_after_seconds):
            self.block(error.retry_after_seconds or 0, now)
        elif status.phase == "done" and not (status.result and status.result.fallback):
            self.record_success(1)

    def record_success(self, images: int) -> None:
        """Record that the provider has accepted requests for this many images."""
        self.concurrency_limit += images
        self.refusals = 0

    def restore(self, job: ImageJob, now: datetime) -> None:
        """After a restart, restore the limit from an ImageJob that waits because of a refusal."""
        error, due = job.status.error, job.status.next_attempt_time
        if job.status.phase == "queued" and error and error.reason == Reason.RATE_LIMITED and due:
            self.concurrency_limit = 1
            self.refused_since = self.refused_since or now
            self.blocked_until = max(self.blocked_until, min(due, now + LONGEST_WAIT))

    def allowance(self, interval: timedelta, processing: int, now: datetime) -> int | None:
        """Return how many more images may be assigned now; None means no limit."""
        if now < self.blocked_until:
            return 0

        ahead = now + AHEAD - max(self.next_slot, now)
        slots = ahead // interval + 1 if interval else inf
        allowed = min(slots, self.concurrency_limit - processing)
        return None if allowed == inf else max(0, int(allowed))

    def useful_concurrency(self, interval: timedelta, seconds: float) -> float:
        """Return how many images can be in processing under the limit if each takes `seconds`.

        The number follows from Little's law.
        """
        at_rate = seconds / interval.total_seconds() if interval else inf
        return min(at_rate, self.concurrency_limit)

    def is_blocked_for_long(self, now: datetime) -> bool:
        """Return whether the provider is refusing requests, from first to last for a long time."""
        since = self.refused_since or now
        return now < self.blocked_until and self.blocked_until - since > LONG_BLOCK

    def block(self, requested_seconds: float, now: datetime) -> None:
        """Block assignments for the requested time, or longer after consecutive refusals."""
        if now >= self.blocked_until:
            self.refusals += 1
            if self.refusals == 1:
                self.refused_since = now

        doubled = 2.0 ** min(self.refusals - 1, 10)  # limited, because 2.0**1024 overflows
        own = min(LONGEST_WAIT, timedelta(seconds=doubled))
        self.concurrency_limit = 1
        self.blocked_until = max(
            self.blocked_until, now + timedelta(seconds=requested_seconds), now + own
        )
