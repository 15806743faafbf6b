"""Refuse what would exceed the limits of its owner.

All numbers are approximate: submissions at the same time don't see each other, other replicas'
uploads are unknown, and the history is some seconds old. While the database is away, only what is
in etcd counts: an outage must lock no one out.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from vision_node_contract.history.database import HistoryError
from vision_node_contract.history.usage import UsageCounts

from ..owner_limits import LimitsByOwner, OwnerLimits
from ..watch.describer_cache import DescriberCache
from ..watch.imagejob_cache import ImageJobCache
from ..watch.live_usage import total_of
from ..web.access import current_access
from .history.reader import HistoryReader
from .history.usage_rows import UsageQuery
from .quota_problems import daily_bytes_used, daily_tokens_used, too_many_jobs
from .received_bytes import ReceivedBytes, Reception

log = logging.getLogger(__name__)

LOCAL_PROVIDERS = frozenset({"local", "metadata", "nothing", "ocr"})
"""Providers that run in the worker and charge no tokens."""

HISTORY_SECONDS = 0.5
"""How long a submission waits for the history, in seconds. It usually answers in a millisecond."""

FRESH = timedelta(seconds=2)
"""How long an answer of the history is used again. The archiver writes as often."""

MAX_ANSWERS = 10_000
"""Maximum number of owners whose numbers in the history are remembered."""

MAX_DESCRIBERS = 1000
"""Maximum number of describers of a day whose numbers are added up."""


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Used:
    """What an owner uses today, as far as is known."""

    unfinished_jobs: int
    """Number of unfinished jobs and batches."""
    bytes: int
    provider_tokens: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """The history's numbers of an owner."""

    at: datetime
    day: date
    sums: UsageCounts


@dataclass(slots=True)
class OwnerQuotas:
    """Compares what owners use with their limits. What belongs to no owner has none."""

    limits: LimitsByOwner
    cache: ImageJobCache
    describers: DescriberCache
    history: HistoryReader | None
    now: Callable[[], datetime] = utc_now
    unfinished_batches: Callable[[str | None], int] = field(default=lambda _: 0, init=False)
    """Returns the number of an owner's unfinished ImageBatches; None stands for all owners."""
    received: ReceivedBytes = field(init=False)
    _answers: OrderedDict[str, _Answer] = field(default_factory=OrderedDict, init=False)

    def __post_init__(self) -> None:
        self.received = ReceivedBytes(self._today)

    async def require(self, describer: str, size: int) -> None:
        """Refuse a new job of the current client if that exceeds a limit.

        Args:
            describer: Name of the Describer.
            size: Size of the image in bytes; 0 if it is unknown.

        Raises:
            Problem: 429 TooManyJobsOfOwner, DailyBytesUsed or DailyTokensUsed.
        """
        owner = current_access().owner
        limits = self.limits.of(owner)
        self._require_few_jobs(owner, limits)

        sums = await self._archived(owner) if _has_daily(limits) else UsageCounts()
        self._require_bytes(owner, sums, size)
        self._require_tokens(owner, sums, describer)

    async def require_batch(self, describer: str) -> None:
        """Refuse a new batch of the current client if a limit has been reached.

        Raises:
            Problem: 429 TooManyJobsOfOwner, DailyBytesUsed or DailyTokensUsed.
        """
        await self.require(describer, 1)

    @contextmanager
    def receiving(self) -> Iterator[Reception]:
        """Count the bytes of an upload that is no job; forget them if the block fails.

        The history's numbers are those of the owner's latest job or batch, or of `refresh`.
        """
        owner = current_access().owner

        def require_room() -> None:
            known = self._answers.get(owner)
            is_today = known is not None and known.day == self._today()
            self._require_bytes(owner, known.sums if known and is_today else UsageCounts(), 0)

        reception = Reception(self.received, owner, require_room)
        try:
            yield reception
        except BaseException:  # the request may also be cancelled
            reception.forget()
            raise

    async def refresh(self) -> None:
        """Ask the history what the current client has used today, if that is limited."""
        owner = current_access().owner
        if _has_daily(self.limits.of(owner)):
            await self._archived(owner)

    async def used(self, owner: str | None) -> Used:
        """Return what an owner uses today; None for all owners."""
        sums = await self._read(owner, self._today())
        return Used(
            unfinished_jobs=self._unfinished_jobs(owner),
            bytes=self._bytes(owner, sums),
            provider_tokens=self._tokens(owner, sums),
        )

    def _require_few_jobs(self, owner: str, limits: OwnerLimits) -> None:
        limit = limits.unfinished_jobs
        if limit and self._unfinished_jobs(owner) >= limit:
            raise too_many_jobs(limit)

    def _require_bytes(self, owner: str, archived: UsageCounts, size: int) -> None:
        limit = self.limits.of(owner).bytes_per_day
        if limit and self._bytes(owner, archived) + size > limit:
            raise daily_bytes_used(limit, self.now())

    def _require_tokens(self, owner: str, archived: UsageCounts, name: str) -> None:
        limit = self.limits.of(owner).provider_tokens_per_day
        describer = self.describers.peek(name)
        if not limit or describer is None or describer.provider in LOCAL_PROVIDERS:
            return

        if self._tokens(owner, archived) >= limit:
            raise daily_tokens_used(limit, name, self.now())

    def _unfinished_jobs(self, owner: str | None) -> int:
        return self.cache.unfinished_of(owner).images + self.unfinished_batches(owner)

    def _bytes(self, owner: str | None, archived: UsageCounts) -> int:
        """Return the bytes of today's images and of all unfinished jobs.

        Images that have ended are in the history, in etcd, or in both. So the larger number counts.
        """
        known = self._ended_today(owner).bytes + self.received.of(owner)
        return max(archived.bytes, known) + self.cache.unfinished_of(owner).bytes

    def _tokens(self, owner: str | None, archived: UsageCounts) -> int:
        return max(archived.tokens, self._ended_today(owner).tokens)

    def _ended_today(self, owner: str | None) -> UsageCounts:
        return total_of(self.cache.usage.ended_on(self._today(), owner))

    async def _archived(self, owner: str) -> UsageCounts:
        """Return the history's numbers of today; zeros while it is away, or if there is none."""
        now, today = self.now(), self._today()
        known = self._answers.get(owner)
        if known and known.day == today and now - known.at < FRESH:
            return known.sums

        sums = await self._read(owner, today)
        self._answers[owner] = _Answer(now, today, sums)
        self._answers.move_to_end(owner)
        if len(self._answers) > MAX_ANSWERS:
            self._answers.popitem(last=False)
        return sums

    async def _read(self, owner: str | None, today: date) -> UsageCounts:
        if self.history is None:
            return UsageCounts()

        query = UsageQuery(today, today + timedelta(days=1), owner, MAX_DESCRIBERS)
        try:
            rows = await self.history.read_usage(query, seconds=HISTORY_SECONDS)
        except HistoryError as error:
            log.debug("only what is in etcd counts for limits: %s", error)  # checks log warnings
            return UsageCounts()

        total = UsageCounts()
        for row in rows:
            total.add(row.sums)
        return total

    def _today(self) -> date:
        return self.now().astimezone(UTC).date()


def _has_daily(limits: OwnerLimits) -> bool:
    return bool(limits.bytes_per_day or limits.provider_tokens_per_day)
