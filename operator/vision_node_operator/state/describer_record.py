"""The record of one describer: its pool, its load, and the state of its provider and launches."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .launch_backoff import LaunchBackoff
from .load import Load
from .object_versions import LONG_AGO
from .pools.pool import Pool
from .provider_health import ProviderHealth
from .rate_limit import RateLimit, interval_of

DELETION_KEPT = timedelta(hours=1)
"""How long to keep the time of a Describer's deletion. It is needed only during the one-minute
grace period after the deletion."""


@dataclass
class DescriberRecord:
    """The record of a describer that ImageJobs or workers name, even if it does not exist."""

    pool: Pool | None = None
    """The Describer's pool of workers; None if the Describer does not exist."""
    deleted_at: datetime | None = None
    rate_limit: RateLimit | None = None
    """None until the first ImageJob; until then, State.rate_limit() returns the initial value."""
    requests_per_image: int = 1
    """Number of requests to the provider per image, as last stated in a worker's Lease."""
    load: Load = field(default_factory=Load)
    launch_backoff: LaunchBackoff = field(default_factory=LaunchBackoff)
    provider_health: ProviderHealth | None = None
    """None until a finished image has shown whether the provider works."""
    status_written_at: datetime | None = None

    @property
    def interval(self) -> timedelta:
        """Minimum time between two images under the Describer's rate limit; 0 means no limit."""
        rate = self.pool.spec.requests_per_minute if self.pool else 0
        return interval_of(rate, self.requests_per_image)

    def set_pool(self, pool: Pool) -> None:
        """Replace the pool. If its pod template has changed, forget past launches and refusals."""
        before, self.pool, self.deleted_at = self.pool, pool, None

        if before and before.template_hash != pool.template_hash:
            self.launch_backoff = LaunchBackoff()
            self.reset_rate_limit()
            self.provider_health = None

    def delete_pool(self, now: datetime) -> None:
        """Record that the Describer was deleted."""
        self.pool, self.deleted_at = None, now
        self.reset_rate_limit()
        self.provider_health = self.status_written_at = None

    def reset_rate_limit(self) -> None:
        """Forget refusals, because another provider may have sent them. Used slots still count."""
        if self.rate_limit:
            self.rate_limit = RateLimit(self.rate_limit.next_slot, LONG_AGO)

    def expire(self, now: datetime) -> bool:
        """Forget data that is no longer needed; return whether the whole record can be deleted."""
        if self.pool:
            return False

        if self.deleted_at and now - self.deleted_at >= DELETION_KEPT:
            self.deleted_at = None
        if not self.deleted_at:
            self.rate_limit = None
        if not self.load.unfinished:
            self.load = Load()

        return not self.deleted_at and not self.load.unfinished
