"""Report what owners have used, by day and describer."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ..owner_limits import UNLIMITED, OwnerLimits
from ..web.access import current_access
from ..web.problems import Problem
from .history.history_problems import history_problems
from .history.usage_rows import UsageQuery, UsageRow
from .jobs import Jobs
from .owner_quotas import Used, utc_now

MAX_ROWS = 4000
"""Maximum number of rows in a report: 400 days with ten describers. They take about 600 kB."""

DEFAULT_DAYS = 31
"""Number of days of a report if the request does not say when it begins."""


@dataclass(frozen=True, slots=True)
class UsageReport:
    """What an owner has used."""

    owner: str
    is_complete: bool
    """Whether the history was read. Without a database, only jobs in etcd that have ended today
    are known."""
    days: list[UsageRow]
    """From the newest day to the oldest."""
    next_before: date | None
    """The `before` of the next page; None if this is the last one."""
    limits: OwnerLimits
    used: Used


@dataclass(frozen=True, slots=True)
class UsageReports:
    """Reads what owners have used."""

    jobs: Jobs
    now: Callable[[], datetime] = utc_now
    max_rows: int = MAX_ROWS

    async def report(
        self, owner: str | None, after: date | None, before: date | None
    ) -> UsageReport:
        """Return what an owner has used.

        Args:
            owner: The owner; None for the client's own usage. Without authentication, that is
                everyone's.
            after: The first day; by default, 31 days ago.
            before: The day after the last one; by default, tomorrow.

        Raises:
            Problem: 403 Forbidden for another owner, unless the client is an administrator; 503
                HistoryUnavailable or another reason of the history.
        """
        access = current_access()
        if owner not in (None, access.owner) and not access.is_admin:
            detail = (
                "Only clients with the scope admin may read the usage of other owners. Leave out "
                "the parameter owner to read your own."
            )
            raise Problem(403, "Forbidden", detail)

        # Without authentication, no client has an owner, but jobs that kubectl creates may.
        chosen = (owner or access.owner) or None
        days, next_before = await self._days(chosen, after, before)
        limits = self.jobs.quotas.limits.of(chosen) if chosen else UNLIMITED
        used = await self.jobs.quotas.used(chosen)
        is_complete = self.jobs.history is not None
        return UsageReport(chosen or "", is_complete, days, next_before, limits, used)

    async def _days(
        self, owner: str | None, after: date | None, before: date | None
    ) -> tuple[list[UsageRow], date | None]:
        today = self.now().date()
        before = before or today + timedelta(days=1)
        after = after or _days_before(before, DEFAULT_DAYS)

        history = self.jobs.history
        if history is None:
            live = self.jobs.cache.usage.ended_on(today, owner) if after <= today < before else {}
            return [UsageRow.of(today, name, live[name]) for name in sorted(live)], None

        with history_problems():
            rows = await history.read_usage(UsageQuery(after, before, owner, self.max_rows + 1))
        return _page(rows, self.max_rows)


def _days_before(day: date, days: int) -> date:
    """Return an earlier day. The calendar begins in the year 1."""
    return date.fromordinal(max(1, day.toordinal() - days))


def _page(rows: list[UsageRow], limit: int) -> tuple[list[UsageRow], date | None]:
    """Return the rows of complete days, and the day before which the next page begins.

    A day with more describers than fit is cut off, so that the next page always makes progress.
    """
    if len(rows) <= limit:
        return rows, None

    last = rows[limit].day
    complete = [row for row in rows[:limit] if row.day != last]
    if complete:
        return complete, complete[-1].day

    return rows[:limit], last
