"""What the operator knows about one describer: its pool, and how its provider and launches fare."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .launch_backoff import LaunchBackoff
from .load import Load
from .object_versions import LONG_AGO
from .pools.pool import Pool
from .provider_health import ProviderHealth
from .rate_limit import RateLimit, interval_of

DELETION_KEPT = timedelta(hours=1)
"""How long the time of a Describer's deletion is kept. It matters only for a minute of grace."""


@dataclass
class DescriberRecord:
    """One describer, by the name that ImageJobs and workers give; it need not exist (any more)."""

    pool: Pool | None = None
    """Its workers; None if there is no such Describer."""
    deleted_at: datetime | None = None
    rate_limit: RateLimit | None = None
    """None until the first ImageJob; see State.rate_limit()."""
    requests_per_image: int = 1
    """Requests to the provider per image, as its newest worker says in its Lease."""
    load: Load = field(default_factory=Load)
    launch_backoff: LaunchBackoff = field(default_factory=LaunchBackoff)
    provider_health: ProviderHealth | None = None
    """None until an image showed it."""
    status_written_at: datetime | None = None

    @property
    def interval(self) -> timedelta:
        """The time between two images that the Describer allows."""
        rate = self.pool.spec.requests_per_minute if self.pool else 0
        return interval_of(rate, self.requests_per_image)

    def set_pool(self, pool: Pool) -> None:
        """Replace the pool. If its pod template changed, its launches and provider start afresh."""
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
        """Forget refusals, which were another provider's; the slots that were taken still count."""
        if self.rate_limit:
            self.rate_limit = RateLimit(self.rate_limit.next_slot, LONG_AGO)

    def expire(self, now: datetime) -> bool:
        """Forget what is no longer needed; return whether that is everything."""
        if self.pool:
            return False

        if self.deleted_at and now - self.deleted_at >= DELETION_KEPT:
            self.deleted_at = None
        if not self.deleted_at:
            self.rate_limit = None
        if not self.load.unfinished:
            self.load = Load()

        return not self.deleted_at and not self.load.unfinished
