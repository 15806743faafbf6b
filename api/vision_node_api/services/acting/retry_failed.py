"""Describe all images again whose jobs have failed for the same reason."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from vision_node_contract.models.imagejob import ImageJob

from ...uploads.retry_options import RetryOptions
from ...watch.imagejob_cache import Retry
from ...web.problems import Problem
from ..history.cursor import NEWEST, write_cursor
from ..history.history_problems import history_problems
from ..history.job_list import JobList, ListedJob, ListQuery
from ..jobs import job_not_found, readable
from ..one_at_a_time import OneAtATime
from .retry import JobRetry, Original, name_of

log = logging.getLogger(__name__)

PARALLEL = 8
"""Number of jobs that are retried at the same time. Each waits for the bucket and the API server,
and the memory of their images is that of uploads."""

PAGE_JOBS = 100
"""Number of jobs to look for at a time. Their entries take 500 kB of memory."""

MAX_SECONDS = 20.0
"""How long one request looks for jobs and retries them, in seconds. Then the answer says where to
continue. Proxies often end requests after 30 or 60 s."""

WITHOUT_KEY = "all failed"
"""Stands for the Idempotency-Key if there is none, so that a job is retried once."""

BUSY = "This replica is retrying jobs for another request."
"""Why another request is refused meanwhile, which bounds the memory."""

_TEMPORARY = frozenset({429, 503})
"""Statuses of problems that concern all jobs, and that pass."""


@dataclass(frozen=True, slots=True)
class Retried:
    """A job that was created, and the job that it repeats."""

    job_id: str
    retry_of: str


@dataclass(frozen=True, slots=True)
class NotRetried:
    """A job that was not retried, and why."""

    job_id: str
    problem: Problem


@dataclass(slots=True)
class RetryReport:
    """The outcome of retrying failed jobs."""

    retried: list[Retried] = field(default_factory=list)
    failed: list[NotRetried] = field(default_factory=list)
    next: str | None = None
    """Where to continue; None if all have been looked at."""

    @property
    def is_empty(self) -> bool:
        """Whether no job was retried or refused."""
        return not self.retried and not self.failed


@dataclass(slots=True)
class FailedRetry:
    """Retries failed jobs, for one request of an owner at a time."""

    retry: JobRetry
    jobs: JobList
    max_seconds: float = MAX_SECONDS
    _turn: OneAtATime = field(default_factory=lambda: OneAtATime(BUSY), init=False)

    async def run(self, wanted: ListQuery, changes: RetryOptions, key: str | None) -> RetryReport:
        """Retry failed jobs, from the newest to the oldest.

        Args:
            wanted: Which jobs, of which there are `wanted.limit` at most.
            changes: What is to be different.
            key: The Idempotency-Key. The key of each new job is derived from it, so that a
                repeated request creates no second job, and returns the same ones.

        Jobs that a newer job already retries are left out where that is known: if the newer one is
        in etcd or, without a key, if a request without a key has created it, for as long as it is
        kept.

        The report ends early after `max_seconds`, which may pass before any job is found, and if
        storage, Kubernetes or the history is unavailable, or Kubernetes takes no more jobs.

        Raises:
            Problem: 400 InvalidCursor; 422 DescriberNotFound; 429 TooManyRetries; 503 with a reason
                of the history; or why no job at all could be retried.
        """
        with self._turn.running():
            if changes.describer:
                await self.retry.jobs.choose_describer(changes.describer)

            retries = self.retry.jobs.cache.retries()
            group = _Group(self.retry, changes, key, retries)
            return await self._retry_all(wanted, group)

    async def _retry_all(self, wanted: ListQuery, group: "_Group") -> RetryReport:
        report = RetryReport(next=wanted.cursor or write_cursor(NEWEST))
        deadline = time.monotonic() + self.max_seconds
        left = wanted.limit

        while left > 0:
            page_query = replace(wanted, limit=min(left, PAGE_JOBS), cursor=report.next)
            try:
                page = await self.jobs.page(page_query)
            except Problem as problem:
                if report.is_empty:
                    raise
                log.warning("the retry of failed jobs ends early: %s", problem)
                return report

            if not await self._retry_page(page.jobs, group, report, deadline):
                return report
            left -= len(page.jobs)
            report.next = page.next
            if page.next is None or time.monotonic() >= deadline:
                return report

        return report

    async def _retry_page(
        self, found: Sequence[ListedJob], group: "_Group", report: RetryReport, deadline: float
    ) -> bool:
        """Retry the jobs of a page; return whether all of them have been looked at."""
        for at in range(0, len(found), PARALLEL):
            part = found[at : at + PARALLEL]
            if time.monotonic() >= deadline or not await group.retry_some(part, report):
                return False
            report.next = write_cursor(part[-1].position)

        return True


@dataclass(frozen=True, slots=True)
class _Group:
    """Retries the jobs of one request, a few at the same time."""

    retry: JobRetry
    changes: RetryOptions
    key: str | None
    retries: Mapping[str, Retry]
    """The jobs that retry others, by the others' names."""

    async def retry_some(self, found: Sequence[ListedJob], report: RetryReport) -> bool:
        """Retry some jobs at the same time; return whether to go on.

        Raises:
            Problem: Why none could be retried so far, if that concerns all jobs.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._retry_one(it)) for it in found]

        outcomes = [task.result() for task in tasks]
        report.retried += [it for it in outcomes if isinstance(it, Retried)]
        refused = [it for it in outcomes if isinstance(it, NotRetried)]
        report.failed += refused

        blocking = next((it for it in refused if it.problem.status in _TEMPORARY), None)
        if blocking and not report.retried:
            raise blocking.problem
        return blocking is None

    async def _retry_one(self, found: ListedJob) -> Retried | NotRetried | None:
        """Retry a job; return None if it is left out."""
        try:
            original = self.retry.of_job(await self._load(found))
            job = await self._repeat(found, original)
        except Problem as problem:
            return NotRetried(found.name, problem)

        return Retried(job.metadata.name, found.name) if job else None

    async def _load(self, found: ListedJob) -> ImageJob:
        """Return a job that was found in etcd, or read it from the history.

        Raises:
            Problem: 404 JobNotFound if it has been deleted since; 502 JobUnreadable; 503
                HistoryUnavailable or another reason of the history.
        """
        history = self.retry.jobs.history
        if found.job:
            return found.job
        if history is None:
            raise job_not_found()

        with history_problems():
            row = await history.find_result(found.position.uid)
        if row is None:
            raise job_not_found()
        return readable(row)

    async def _repeat(self, found: ListedJob, original: Original) -> ImageJob | None:
        if self._has_newer(found, original):
            return None
        if self.key is None and await self.retry.was_repeated(original, WITHOUT_KEY):
            return None

        with self.retry.jobs.uploads.admit() as slot:
            if self.key is None:
                return await self.retry.create(original, self.changes, WITHOUT_KEY, slot)
            return await self.retry.repeat(original, self.changes, self.key, slot)

    def _has_newer(self, found: ListedJob, original: Original) -> bool:
        """Return whether a newer job in etcd retries this one, but not for the same request."""
        newer = self.retries.get(found.name)
        if newer is None or newer.created_at < found.position.at:
            return False

        return self.key is None or newer.name != name_of(original, self.key)
