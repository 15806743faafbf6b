"""The data for one round of decisions: pools with their workers, and workers with their ImageJobs.

The ImageJob counts include ImageJobs that are being assigned.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from vision_node_contract.models.shard import Shard

from ..state.describer_record import DescriberRecord
from ..state.object_versions import ObjectKey
from ..state.pools.pool import Pool
from ..state.rate_limit import RateLimit
from ..state.state import State
from ..state.worker_objects import DescriberJob, Pod
from ..state.worker_registry import START_TIMEOUT, WorkerRecord

UNRESPONSIVE_AFTER = timedelta(minutes=1)
"""How long a worker may go without renewing its Lease before it no longer counts toward its pool.
After that, the worker is replaced. It is retired once it has no ImageJobs."""

UNSEEN = WorkerRecord()
"""The record to use for a worker that has no pod yet."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A describer Job, with all the data about it that assignments and scaling need."""

    job: DescriberJob
    pod: Pod | None
    serving: bool
    silent: bool
    """Whether the worker's Lease has expired."""
    in_flight: int
    """Number of ImageJobs with a single image that the worker has now. A shard does not count,
    because it uses only what they leave free."""
    assigned_total: int
    """Number of images that the worker has been assigned since it was launched."""
    idle_since: datetime | None
    """When the worker became idle, if it has no ImageJobs now; None if it has no Lease."""
    last_renewed: datetime | None
    """When the worker last renewed its Lease; None if it has no Lease."""
    cordoned: bool
    can_take_shards: bool = False
    """Whether the worker's release knows shards."""
    shard_images: int = 0
    """Number of images of the shard that the worker has or is being assigned; 0 without a shard."""
    has_alone_shard: bool = False
    """Whether this shard's images may kill workers, so the worker gets nothing else."""

    @property
    def has_shard(self) -> bool:
        """Whether the worker has a shard or is being assigned one."""
        return self.shard_images > 0

    @property
    def has_work(self) -> bool:
        """Whether the worker has single images or a shard."""
        return self.in_flight > 0 or self.has_shard

    @property
    def ended(self) -> bool:
        """Whether the worker's Job has ended or is being deleted."""
        return self.job.ended or self.job.deleting

    def is_unresponsive(self, now: datetime) -> bool:
        """Return whether the worker has failed to renew its Lease or to start in time."""
        if self.last_renewed:
            return now - self.last_renewed > UNRESPONSIVE_AFTER

        return now - self.job.created > START_TIMEOUT


@dataclass(frozen=True)
class PoolView:
    """A pool, its workers, and the number of ImageJobs that are waiting for it."""

    state: State
    pool: Pool
    workers: Sequence[Worker]
    now: datetime
    waiting: int = 0
    """Number of ImageJobs that could be assigned if there were more workers, up to the capacity of
    the whole pool."""
    exclusive: frozenset[str] = frozenset()
    """Workers (pod names) that have a suspect or wait for one, and get nothing else."""

    @cached_property
    def describer(self) -> DescriberRecord:
        """The operator's record of the describer."""
        return self.state.describers.record(self.pool.describer)

    @cached_property
    def rate_limit(self) -> RateLimit:
        """The describer's rate limit."""
        return self.state.rate_limit(self.pool.describer)

    @cached_property
    def current(self) -> list[Worker]:
        """Workers that count toward the pool.

        Ended, cordoned, outdated and unresponsive workers do not count, nor do those that have been
        assigned their maximum number of images.
        """
        return [worker for worker in self.workers if self._is_current(worker)]

    @cached_property
    def serving(self) -> list[Worker]:
        """Workers that serve. They get ImageJobs if they have capacity and are up to date."""
        return [worker for worker in self.workers if worker.serving]

    def capacity(self, worker: Worker) -> int | None:
        """Return how many more ImageJobs the worker can take now.

        Return None if the worker has had its maximum number of images.
        """
        free = max(0, self.pool.spec.images_at_once - worker.in_flight)
        limit = self.pool.spec.images_per_worker
        if not limit:
            return free

        return min(free, limit - worker.assigned_total) if worker.assigned_total < limit else None

    def is_up_to_date(self, worker: Worker) -> bool:
        """Return whether the worker was launched from the pool's current pod template."""
        return worker.job.template_hash == self.pool.template_hash

    def after(
        self, assigned: Mapping[str, int], waiting: int, exclusive: frozenset[str] = frozenset()
    ) -> "PoolView":
        """Return the view after assignments; `assigned` counts them by worker (pod name)."""
        workers = [_with(worker, assigned) for worker in self.workers]
        return PoolView(self.state, self.pool, workers, self.now, waiting, exclusive)

    def with_shards(self, assigned: Mapping[str, Shard]) -> "PoolView":
        """Return the view after shards were assigned; `assigned` has them by worker (pod name)."""
        if not assigned:
            return self

        shards = (assigned.get(it.pod.name if it.pod else "") for it in self.workers)
        return replace(self, workers=[*map(_with_shard, self.workers, shards)])

    def _is_current(self, worker: Worker) -> bool:
        if worker.ended or worker.cordoned or self.capacity(worker) is None:
            return False

        return self.is_up_to_date(worker) and not worker.is_unresponsive(self.now)


def workers_by_describer(state: State, now: datetime) -> dict[str, list[Worker]]:
    """Return all workers by describer, sorted by the names of their Jobs."""
    # All pending assignments are counted in one pass, because there are many workers and writes.
    being_assigned: Counter[str] = Counter()
    shards: dict[str, list[Shard]] = {}
    for key, name in state.pending_writes.items():
        shard = state.batches.shards.get(key.name) if key.kind == "imagejobs" and name else None
        if shard:
            shards.setdefault(name, []).append(shard)
        else:
            being_assigned[name] += 1

    found: dict[str, list[Worker]] = {}
    for _, job in sorted(state.workers.jobs.items()):
        pod = state.workers.pod_of(job)
        pending = being_assigned[pod.name] if pod else 0
        worker = _worker(state, job, pod, pending, now)
        for shard in shards.get(pod.name, ()) if pod else ():
            worker = _with_shard(worker, shard)
        found.setdefault(job.describer, []).append(worker)

    return found


def _worker(
    state: State, job: DescriberJob, pod: Pod | None, pending: int, now: datetime
) -> Worker:
    record = state.workers.records[pod.name] if pod else UNSEEN
    is_ending = job.deleting or job.ended or pod is None or pod.deleting or not pod.alive
    # A Job that is being deleted takes no more ImageJobs, even if the watch has not reported the
    # deletion yet.
    usable = not is_ending and state.is_free(ObjectKey("jobs", job.name), now)
    silent, lease = record.is_silent(now), record.lease
    last_renewed = lease.last if lease else None
    shards = state.batches.assigned_to(pod.name) if pod else []

    return Worker(
        job=job,
        pod=pod,
        serving=usable and lease is not None and not (silent or record.cordoned),
        silent=silent,
        in_flight=state.job_queue.in_flight(pod.name) + pending if pod else 0,
        assigned_total=record.assigned_total + pending,
        idle_since=record.idle_since,
        last_renewed=now if lease and state.is_in_grace_period(now) else last_renewed,
        cordoned=record.cordoned,
        can_take_shards=record.can_take_shards,
        shard_images=sum(shard.range.size for shard in shards),
        has_alone_shard=any(shard.spec.images.alone for shard in shards),
    )


def _with(worker: Worker, assigned: Mapping[str, int]) -> Worker:
    new = assigned.get(worker.pod.name, 0) if worker.pod else 0
    if not new:
        return worker

    return replace(
        worker, in_flight=worker.in_flight + new, assigned_total=worker.assigned_total + new
    )


def _with_shard(worker: Worker, shard: Shard | None) -> Worker:
    """Return the worker after a shard was assigned to it."""
    if shard is None:
        return worker

    return replace(
        worker,
        assigned_total=worker.assigned_total + shard.range.size,
        shard_images=worker.shard_images + shard.range.size,
        has_alone_shard=worker.has_alone_shard or shard.spec.images.alone,
    )
