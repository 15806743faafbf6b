"""Delete archived ImageJobs from etcd, while their data stays."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vision_node_contract.clients.kube import KubeError, UnavailableError
from vision_node_contract.history.database import HistoryError

from ..bounded import each
from ..history.holds import Work
from ..history.link import HistoryLink
from ..history.marks import EvictionMarks, Mark
from .archiver import Archiver
from .deletions import Deletion, Deletions
from .eviction import EvictionLimits, choose_evictions
from .job_reader import Deleted, JobReader
from .live_jobs import LiveJob, LiveJobs

log = logging.getLogger(__name__)

ROUND_SECONDS = 5.0
"""Interval between rounds. A round takes two transactions, a request to the bucket and a look at
all ImageJobs in etcd, so a busy release has few rounds with many ImageJobs each."""

GROUP = 200
"""Maximum number of ImageJobs that are marked in one transaction. All of them are deleted before
another archiver may take over their marks, even if each request takes a second."""

LATER_SECONDS = 30.0
"""How long an ImageJob is left alone if it could not be evicted."""

REFUSED_SECONDS = 300.0
"""How long an ImageJob is left alone if the API server refused to delete it. What refuses it, for
example a webhook, will usually refuse it again, and an attempt costs up to four requests."""

MAX_MISSING = 3
"""How often an ImageJob without a row is archived again. PostgreSQL may refuse even a row without a
result."""


@dataclass
class Outcomes:
    """The ImageJobs of a group, by outcome."""

    evicted: list[LiveJob] = field(default_factory=list)
    kept: list[LiveJob] = field(default_factory=list)
    """They exist, so they are considered again later."""
    refused: list[LiveJob] = field(default_factory=list)
    """They exist, because the API server refused to delete them."""
    deleted: list[LiveJob] = field(default_factory=list)
    """A user has deleted them."""
    unclear: list[LiveJob] = field(default_factory=list)
    """There was no answer, so they may or may not exist."""


class Evictor:
    """Evicts ImageJobs. A mark on the row is committed before the ImageJob is deleted."""

    def __init__(
        self,
        archiver: Archiver,
        link: HistoryLink,
        marks: EvictionMarks,
        deletions: Deletions,
        limits: EvictionLimits,
    ) -> None:
        self._archiver = archiver
        self._link = link
        self._marks = marks
        self._deletions = deletions
        self._limits = limits
        self._live: LiveJobs = archiver.live
        self._reader: JobReader = archiver.reader
        self._later: dict[str, float] = {}
        """Monotonic time in seconds before which an ImageJob is left alone, by uid."""
        self._missing: dict[str, int] = {}

    async def run(self) -> None:
        """Evict until cancelled."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            await self._link.allowed(Work.CLEAN)
            try:
                await self.evict(datetime.now(UTC))
            except HistoryError as error:
                self._link.report(error)

    async def evict(self, now: datetime) -> None:
        """Evict all ImageJobs that are due.

        Raises:
            HistoryUnavailableError: The database is unavailable.
        """
        self._forget()
        chosen = choose_evictions(self._live, self._live.archived, now, self._limits)
        due = [it for it in chosen if it.uid not in self._later]
        for start in range(0, len(due), GROUP):
            if not self._link.allows(Work.CLEAN):
                return
            await self._evict_group(due[start : start + GROUP])

    def _forget(self) -> None:
        """Forget ImageJobs that may be evicted again, or that are gone."""
        now = time.monotonic()
        self._later = {uid: due for uid, due in self._later.items() if due > now}
        self._missing = {uid: n for uid, n in self._missing.items() if self._live.get(uid)}

    async def _evict_group(self, jobs: list[LiveJob]) -> None:
        uids = {it.uid for it in jobs}
        self._deletions.busy |= uids
        try:
            marked_at, restarts = datetime.now(UTC), self._link.restarts
            found = await self._marks.mark({it.uid: it.expires_at for it in jobs}, marked_at)
            for job in jobs:
                if job.uid not in found:
                    self._archive_again(job)
                elif found[job.uid] is Mark.BUSY:
                    self._wait(job)

            ready = [it for it in jobs if found.get(it.uid) in (Mark.FRESH, Mark.TAKEN)]
            fresh = {uid for uid, mark in found.items() if mark is Mark.FRESH}
            if ready and not await self._is_recorded(restarts):
                outcomes = Outcomes(kept=ready)
            else:
                outcomes = await self._delete(ready, fresh)
            await self._finish(outcomes, marked_at)
        finally:
            self._deletions.busy -= uids

    async def _is_recorded(self, restarts: int) -> bool:
        """Record the marks; return whether evictions may go on, because no restore lost them."""
        return await self._link.record() and self._link.restarts == restarts

    async def _delete(self, jobs: list[LiveJob], fresh: set[str]) -> Outcomes:
        """Delete ImageJobs whose rows are marked."""
        outcomes = Outcomes()
        self._deletions.evicting(it.uid for it in jobs)
        answers = await each(self._delete_one, jobs)
        for job, answer in zip(jobs, answers, strict=True):
            if isinstance(answer, KubeError):
                (outcomes.refused if answer.is_refusal else outcomes.unclear).append(job)
            elif answer is Deleted.CHANGED:
                outcomes.kept.append(job)
            elif answer is Deleted.GONE and job.uid in fresh:
                outcomes.deleted.append(job)
            else:
                outcomes.evicted.append(job)

        errors = [it for it in answers if isinstance(it, KubeError)]
        if errors:
            log.warning("%d ImageJobs are evicted later: %s", len(errors), errors[0])

        return outcomes

    async def _delete_one(self, job: LiveJob) -> Deleted | KubeError:
        """Delete an ImageJob; GONE means that it did not exist, and that no attempt deleted it."""
        try:
            outcome, was_lost = await self._reader.delete(job)
            if outcome is Deleted.CHANGED:
                exists = await self._reader.get(job.name, job.uid) is not None
                outcome = Deleted.CHANGED if exists else Deleted.GONE
        except KubeError as error:
            return await self._confirmed(job, error)

        # A request whose answer was lost may have deleted it.
        return Deleted.DONE if outcome is Deleted.GONE and was_lost else outcome

    async def _confirmed(self, job: LiveJob, error: KubeError) -> KubeError:
        """Return a refusal if the ImageJob exists, so that no earlier attempt has deleted it."""
        if not error.is_refusal:
            return error

        try:
            exists = await self._reader.get(job.name, job.uid) is not None
        except KubeError as silence:
            return UnavailableError(0, "NoAnswer", str(silence))

        return error if exists else UnavailableError(0, "NoAnswer", str(error))

    async def _finish(self, outcomes: Outcomes, marked_at: datetime) -> None:
        for job in [*outcomes.unclear, *outcomes.kept, *outcomes.deleted]:
            self._wait(job)
        for job in outcomes.refused:
            self._wait(job, REFUSED_SECONDS)

        self._archiver.counts.evicted += len(outcomes.evicted)
        for job in outcomes.evicted:
            if self._live.drop(job.uid) is None:
                self._deletions.not_evicted([job.uid])  # the watch has already reported it

        await self._undo([*outcomes.kept, *outcomes.refused, *outcomes.deleted], marked_at)
        await self._delete_results(outcomes.evicted)

    async def _undo(self, jobs: list[LiveJob], marked_at: datetime) -> None:
        """Remove the marks of ImageJobs that were not evicted."""
        if not jobs:
            return

        self._deletions.not_evicted(it.uid for it in jobs)
        ours = await self._marks.unmark([it.uid for it in jobs], marked_at)

        # The watch tells of deletions. If it does not, etcd may have been restored from a backup
        # without the ImageJob, and then no user has deleted it.
        for job in jobs:
            if job.uid in ours and self._live.get(job.uid) is None:
                self._deletions.add(Deletion.of(job, is_seen=True))

    async def _delete_results(self, jobs: list[LiveJob]) -> None:
        """Delete the results in the bucket that are also in the rows of evicted ImageJobs."""
        stored = [it for it in jobs if it.result_key]
        if stored:
            await self._deletions.delete_copied_results(stored)

    def _archive_again(self, job: LiveJob) -> None:
        """Archive an ImageJob whose row is missing, because the database was restored."""
        tries = self._missing.get(job.uid, 0) + 1
        self._missing[job.uid] = tries
        self._live.archived.discard(job.uid)
        if tries <= MAX_MISSING:
            self._archiver.queue.offer(job, None, may_be_archived=True)
        elif tries == MAX_MISSING + 1:
            log.error("ImageJob %s stays in etcd, because it can't be archived", job.name)

    def _wait(self, job: LiveJob, seconds: float = LATER_SECONDS) -> None:
        self._later[job.uid] = time.monotonic() + seconds
