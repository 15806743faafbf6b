"""ImageJobs as the operator needs to see them: queued in order, held by workers, finished and expiring.

The order is: highest priority first; then the owner of whom fewest are being worked on, so that one
owner's ten thousand images don't starve another's single one; then the oldest.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heapreplace
from typing import Any

from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.names import OWNER_LABEL

from .load import Demand

Line = list[tuple[datetime, str]]
"""One owner's queued ImageJobs of one priority: when created, name; sorted."""

UNTOLD = 1000
"""Failures to be told in Events; more at once are not read by anybody."""

Queue = dict[int, dict[str, Line]]
"""A describer's queued ImageJobs: by priority, by owner."""


@dataclass(frozen=True, slots=True)
class Finished:
    """All that is kept of a finished ImageJob."""

    name: str
    version: int
    expires: datetime | None
    """When to delete it; None: its deletion has begun and waits for a finalizer."""
    image_key: str


@dataclass
class Backlog:
    """ImageJobs by name, with an index for each question that decide() asks."""

    jobs: dict[str, ImageJob] = field(default_factory=dict)
    """Unfinished ones."""
    finished: dict[str, Finished] = field(default_factory=dict)
    released: dict[str, datetime] = field(default_factory=dict)
    """When a worker (pod name) was last rid of all that it held."""
    given: Counter[str] = field(default_factory=Counter)
    """How many ImageJobs a worker (pod name) was assigned."""
    demands: dict[str, Demand] = field(default_factory=dict)
    """By describer."""
    failed: dict[str, ImageJob] = field(default_factory=dict)
    """Seen to fail, and yet to be told."""

    _queues: dict[str, Queue] = field(default_factory=dict)
    """By describer."""
    _cancelled: set[str] = field(default_factory=set)
    _suspects: set[str] = field(default_factory=set)
    _processing: dict[str, str] = field(default_factory=dict)
    _held: dict[str, set[str]] = field(default_factory=dict)
    _worked_on: Counter[str] = field(default_factory=Counter)
    """By owner: ImageJobs in processing."""
    _expiry: list[tuple[datetime, str]] = field(default_factory=list)
    """Sorted."""
    _images: Counter[str] = field(default_factory=Counter)
    """How many ImageJobs name an image; a retry names its original's."""

    def put(self, job: ImageJob, now: datetime) -> None:
        """Take in an ImageJob as it is now."""
        name = job.metadata.name
        self._learn(job, self.jobs.get(name), now)
        self.drop(name, now)
        self._images[job.spec.image.key] += 1
        if job.finished:
            self._put_finished(job, now)
            return

        self.jobs[name] = job
        demand = self.demands.setdefault(job.spec.describer, Demand())
        demand.change(+1, now)
        if job.status.suspect:
            self._suspects.add(name)

        if job.status.phase == "processing":
            worker = job.status.worker or ""
            self._processing[name] = worker
            self._held.setdefault(worker, set()).add(name)
            self._worked_on[owner_of(job)] += 1
            demand.processing += 1
        elif job.spec.cancel:
            self._cancelled.add(name)
        else:
            owners = self._queues.setdefault(job.spec.describer, {}).setdefault(
                job.spec.priority, {}
            )
            insort(owners.setdefault(owner_of(job), []), _place(job))

    def drop(self, name: str, now: datetime) -> None:
        """Forget an ImageJob."""
        done = self.finished.pop(name, None)
        if done:
            if done.expires:
                _remove(self._expiry, (done.expires, name))
            self._drop_image(done.image_key)

        job = self.jobs.pop(name, None)
        if job is None:
            return

        self._drop_image(job.spec.image.key)
        demand = self.demands[job.spec.describer]
        demand.change(-1, now)
        self._suspects.discard(name)

        if name in self._processing:
            demand.processing -= 1
            self._release(job, now)
        elif name in self._cancelled:
            self._cancelled.remove(name)
        else:
            self._unqueue(job)

    def demand(self, describer: str) -> Demand:
        """Return how much the describer is asked for."""
        return self.demands.get(describer) or Demand()

    def forget_demands(self, known: Collection[str]) -> None:
        """Forget describers that are not `known` and asked for nothing."""
        kept = {name for name, found in self.demands.items() if name in known or found.unfinished}
        self.demands = {name: self.demands[name] for name in kept}

    def held_by(self, worker: str) -> Iterator[ImageJob]:
        """Yield the ImageJobs that the worker (pod name) holds."""
        return (self.jobs[name] for name in self._held.get(worker, ()))

    def describers(self) -> list[str]:
        """Return the names of describers for which an ImageJob is queued."""
        return list(self._queues)

    def queued(self, describer: str) -> Iterator[ImageJob]:
        """Yield the describer's queued ImageJobs in the order in which they should be assigned."""
        queue = self._queues.get(describer, {})
        taken = Counter(self._worked_on)
        for priority in sorted(queue, reverse=True):
            for name in _in_turn(queue[priority], taken):
                yield self.jobs[name]

    def processing(self) -> Iterator[ImageJob]:
        """Yield ImageJobs that a worker holds."""
        return (self.jobs[name] for name in self._processing)

    def cancelled(self) -> Iterator[ImageJob]:
        """Yield queued ImageJobs that nobody wants any more."""
        return (self.jobs[name] for name in self._cancelled)

    def suspects(self) -> Iterator[ImageJob]:
        """Yield unfinished ImageJobs that may have ended a worker."""
        return (self.jobs[name] for name in sorted(self._suspects))

    def expired(self, now: datetime) -> Iterator[Finished]:
        """Yield finished ImageJobs whose time to live is over, longest over first."""
        for expires, name in self._expiry:
            if expires > now:
                return
            yield self.finished[name]

    def postpone(self, name: str, until: datetime) -> None:
        """Postpone the expiry of a finished ImageJob that could not be deleted to `until` or later."""
        done = self.finished.get(name)
        if done is None or done.expires is None or done.expires >= until:
            return
        _remove(self._expiry, (done.expires, name))
        self.finished[name] = replace(done, expires=until)
        insort(self._expiry, (until, name))

    def held(self, worker: str) -> int:
        """Return how many ImageJobs the worker (pod name) holds."""
        return len(self._held.get(worker, ()))

    def is_image_named(self, key: str) -> bool:
        """Whether some ImageJob names the image with this object key."""
        return key in self._images

    def _learn(self, job: ImageJob, before: ImageJob | None, now: datetime) -> None:
        """Take in what the change from `before` tells of workers and describers."""
        name, status = job.metadata.name, job.status
        known = before.status.attempts if before else status.attempts * (name in self.finished)
        if status.worker and status.attempts > known:
            self.given[status.worker] += 1

        if before is None or not job.finished:
            return

        if status.phase == "failed" and len(self.failed) < UNTOLD:
            self.failed[name] = job
        elif status.attempts == 1 and status.start_time and status.completion_time:
            took = min(status.completion_time, now) - status.start_time
            self.demands[job.spec.describer].measure(took.total_seconds())

    def _put_finished(self, job: ImageJob, now: datetime) -> None:
        name = job.metadata.name
        expires = None if job.metadata.deletion_timestamp else _expiry_of(job, now)
        version = int(job.metadata.resource_version)
        self.finished[name] = Finished(name, version, expires, job.spec.image.key)
        if expires:
            insort(self._expiry, (expires, name))

    def _release(self, job: ImageJob, now: datetime) -> None:
        name, owner = job.metadata.name, owner_of(job)
        self._worked_on[owner] -= 1
        if not self._worked_on[owner]:
            del self._worked_on[owner]

        worker = self._processing.pop(name)
        self._held[worker].discard(name)
        if not self._held[worker]:
            del self._held[worker]
            self.released[worker] = now

    def _unqueue(self, job: ImageJob) -> None:
        queue = self._queues[job.spec.describer]
        owners = queue[job.spec.priority]
        line = owners[owner_of(job)]
        _remove(line, _place(job))
        if not line:
            del owners[owner_of(job)]

        if not owners:
            del queue[job.spec.priority]

        if not queue:
            del self._queues[job.spec.describer]

    def _drop_image(self, key: str) -> None:
        self._images[key] -= 1
        if not self._images[key]:
            del self._images[key]


def owner_of(job: ImageJob) -> str:
    """Return who submitted the ImageJob; all without a name are one."""
    return job.metadata.labels.get(OWNER_LABEL, "")


def _expiry_of(job: ImageJob, now: datetime) -> datetime:
    """Return when a finished ImageJob's time to live ends."""
    keep = timedelta(seconds=job.spec.ttl_seconds_after_finished)
    # Workers write the completion time, so it is untrusted: it may be wrong, or too large to add
    # to.
    return min(job.status.completion_time or now, now) + keep


def _in_turn(lines: dict[str, Line], taken: Counter[str]) -> Iterator[str]:
    """Yield names of all lines: next is always the owner of whom fewest are `taken`, which counts on."""
    heap = [(taken[owner], line[0], owner, 0) for owner, line in lines.items()]
    heapify(heap)
    while heap:
        _, (_, name), owner, index = heap[0]
        yield name
        taken[owner] += 1
        line = lines[owner]
        if index + 1 < len(line):
            heapreplace(heap, (taken[owner], line[index + 1], owner, index + 1))
        else:
            heappop(heap)


def _place(job: ImageJob) -> tuple[datetime, str]:
    return (job.metadata.creation_timestamp or datetime.min.replace(tzinfo=UTC), job.metadata.name)


def _remove(ordered: list[Any], key: Any) -> None:
    del ordered[bisect_left(ordered, key)]
