"""Limit how many requests each owner sends, with one token bucket for each.

Each replica enforces its share on its own: no request waits for another replica or for a store.
A Service distributes connections and not requests, so a client with few connections may reach the
limit of one replica before the mean of all replicas has reached the release's.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from ..owner_limits import LimitsByOwner
from .problems import Problem

BURST_SECONDS = 2
"""How many seconds' worth of requests may come at the same time, after a pause."""

MAX_OWNERS = 10_000
"""Maximum number of owners to remember. They take 2 MB. The one whose last request is the oldest is
forgotten first, and has by then, or soon, a full bucket anyway."""

POLICY = "default"
"""Name of the only policy in the headers."""


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """How many requests of an owner a replica answers."""

    per_second: float
    burst: int
    """Number of requests that may come at the same time, at least one."""

    @classmethod
    def share(cls, per_second: int, replicas: int) -> Self:
        """Return the share of one replica."""
        share = per_second / replicas
        return cls(share, max(1, math.floor(BURST_SECONDS * share)))

    @property
    def window_seconds(self) -> int:
        """How long it takes until `burst` requests are possible again, in seconds."""
        return math.ceil(self.burst / self.per_second)


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a request is answered, and how many more would be."""

    policy: RatePolicy
    is_allowed: bool
    remaining: int
    """Number of further requests that would be answered now."""
    reset_seconds: int
    """Time until the next request is answered, if none remain; otherwise until none are missing."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the response, as in draft-ietf-httpapi-ratelimit-headers-11."""
        policy, rest = self.policy, (self.remaining, self.reset_seconds)
        quota = f'"{POLICY}";q={policy.burst};w={policy.window_seconds}'
        return [
            (b"ratelimit-policy", quota.encode()),
            (b"ratelimit", f'"{POLICY}";r={rest[0]};t={rest[1]}'.encode()),
        ]

    def problem(self) -> Problem:
        """Return the response to a request that is not answered."""
        detail = (
            f"This client has sent more than {self.policy.per_second:g} requests a second, which "
            "is its limit at this replica of the API (GET /limits has that of the release). Send "
            f"the request again after {self.reset_seconds} s, and wait with `Prefer: wait=60` or "
            "follow GET /events instead of polling."
        )
        headers = {"Retry-After": str(self.reset_seconds)}
        return Problem(429, "RateLimited", detail, headers=headers)


@dataclass(slots=True)
class _Bucket:
    """A token is a request that may be answered now."""

    tokens: float
    filled_at: float
    """Monotonic time in seconds at which the bucket had so many tokens."""

    def take(self, policy: RatePolicy, now: float) -> Turn:
        elapsed = max(0.0, now - self.filled_at)
        self.tokens = min(policy.burst, self.tokens + elapsed * policy.per_second)
        self.filled_at = now

        is_allowed = self.tokens >= 1
        self.tokens -= is_allowed
        missing = policy.burst - self.tokens if self.tokens >= 1 else 1 - self.tokens
        seconds = max(1, math.ceil(missing / policy.per_second))
        return Turn(policy, is_allowed, math.floor(self.tokens), seconds)


class RateLimiter:
    """Counts the requests of each owner.

    Args:
        limits: The limits.
        clock: Function that returns the monotonic time in seconds.
    """

    def __init__(self, limits: LimitsByOwner, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        """From the owner whose last request is the oldest to the newest."""

    def take(self, owner: str) -> Turn | None:
        """Count a request; return None if the owner has no limit."""
        per_second = self._limits.of(owner).requests_per_second
        if not per_second:
            return None

        policy, now = RatePolicy.share(per_second, self._limits.replicas), self._clock()
        bucket = self._buckets.get(owner)
        if bucket is None:
            bucket = self._buckets[owner] = _Bucket(policy.burst, now)
            if len(self._buckets) > MAX_OWNERS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(owner)

        return bucket.take(policy, now)
