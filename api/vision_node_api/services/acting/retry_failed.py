"""Describe all images again whose jobs have failed for the same reason."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from vision_node_contract.models.imagejob import ImageJob

from ...uploads.retry_options import RetryOptions
from ...watch.imagejob_cache import Retry
from ...web.problems import Problem
from ..history.cursor import write_cursor
from ..history.history_rows import Position
from ..one_at_a_time import OneAtATime
from .failed_jobs import FailedJob, FailedJobs, FailedSelection
from .retry import JobRetry, Original, name_of

PARALLEL = 8
"""Number of jobs that are retried at the same time. Each waits for the bucket and the API server,
and the memory of their images is that of uploads."""

MAX_SECONDS = 20.0
"""How long one request retries jobs, in seconds. Then the answer says where to continue. Proxies
often end requests after 30 or 60 s."""

WITHOUT_KEY = "all failed"
"""Stands for the Idempotency-Key if there is none, so that a job is retried once."""

BUSY = "This replica is retrying jobs for another request."
"""Why another request is refused meanwhile. One at a time bounds the memory."""

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
    """What has become of some failed jobs."""

    retried: list[Retried] = field(default_factory=list)
    failed: list[NotRetried] = field(default_factory=list)
    next: str | None = None
    """Where to continue; None if all have been looked at."""


@dataclass(slots=True)
class FailedRetry:
    """Retries failed jobs, for one request at a time."""

    retry: JobRetry
    jobs: FailedJobs
    max_seconds: float = MAX_SECONDS
    _turn: OneAtATime = field(default_factory=lambda: OneAtATime(BUSY), init=False)

    async def run(
        self, wanted: FailedSelection, changes: RetryOptions, key: str | None
    ) -> RetryReport:
        """Retry failed jobs, from the newest to the oldest.

        Args:
            wanted: Which jobs.
            changes: What is to be different.
            key: The Idempotency-Key. The key of each new job is derived from it, so that a
                repeated request creates no second job, and returns the same ones.

        Jobs that a newer job already retries are left out where that is known: if the newer one is
        in etcd or, without a key, if a request without a key has created it, for as long as it is
        kept.

        If storage or Kubernetes is away, or takes no more jobs, the report ends early.

        Raises:
            Problem: 400 InvalidCursor; 422 DescriberNotFound; 429 TooManyRetries; 503 with a reason
                of the history; or why no job at all could be retried.
        """
        with self._turn.running():
            if changes.describer:
                await self.retry.jobs.choose_describer(changes.describer)

            found = await self.jobs.find(wanted)
            retries = self.retry.jobs.cache.retries()
            group = _Group(self.retry, self.jobs, changes, key, retries)
            return await self._retry_all(found, wanted, group)

    async def _retry_all(
        self, found: list[FailedJob], wanted: FailedSelection, group: "_Group"
    ) -> RetryReport:
        report, place = RetryReport(), wanted.start
        deadline = time.monotonic() + self.max_seconds
        chosen = found[: wanted.limit]

        for at in range(0, len(chosen), PARALLEL):
            part = chosen[at : at + PARALLEL]
            if time.monotonic() >= deadline or not await group.retry_some(part, report):
                return _continued(report, place)
            place = part[-1].position

        return _continued(report, place) if len(found) > wanted.limit else report


@dataclass(frozen=True, slots=True)
class _Group:
    """Retries the jobs of one request, a few at the same time."""

    retry: JobRetry
    jobs: FailedJobs
    changes: RetryOptions
    key: str | None
    retries: Mapping[str, Retry]
    """The jobs that retry others, by the others' names."""

    async def retry_some(self, found: list[FailedJob], report: RetryReport) -> bool:
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

        hindrance = next((it for it in refused if it.problem.status in _TEMPORARY), None)
        if hindrance and not report.retried:
            raise hindrance.problem
        return hindrance is None

    async def _retry_one(self, found: FailedJob) -> Retried | NotRetried | None:
        """Retry a job; return None if it is left out."""
        try:
            original = self.retry.of_job(await self.jobs.load(found))
            job = await self._repeat(found, original)
        except Problem as problem:
            return NotRetried(found.name, problem)

        return Retried(job.metadata.name, found.name) if job else None

    async def _repeat(self, found: FailedJob, original: Original) -> ImageJob | None:
        if self._has_newer(found, original):
            return None
        if self.key is None and await self.retry.was_repeated(original, WITHOUT_KEY):
            return None

        with self.retry.jobs.uploads.admit() as slot:
            if self.key is None:
                return await self.retry.create(original, self.changes, WITHOUT_KEY, slot)
            return await self.retry.repeat(original, self.changes, self.key, slot)

    def _has_newer(self, found: FailedJob, original: Original) -> bool:
        """Return whether a newer job in etcd retries this one, but not for the same request."""
        newer = self.retries.get(found.name)
        if newer is None or newer.created_at < found.position.at:
            return False

        return self.key is None or newer.name != name_of(original, self.key)


def _continued(report: RetryReport, place: Position) -> RetryReport:
    report.next = write_cursor(place)
    return report
