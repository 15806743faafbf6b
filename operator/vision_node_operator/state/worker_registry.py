"""The registry of workers: their describer Jobs, their pods and their Leases."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vision_node_contract.leases import LEASE_SECONDS
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import STORAGE_REASONS, ReadyReason
from vision_node_contract.names import SHARDS_ABILITY

from .problems import Problem
from .worker_objects import DescriberJob, Lease, Pod

LEASE_DURATION = timedelta(seconds=LEASE_SECONDS)
"""How long a worker may go without renewing its Lease before it counts as hung or cut off."""

PROVEN_AFTER = timedelta(seconds=30)
"""How long a worker must serve before its launch counts as successful. After that, it does not
matter how the worker ends."""

START_TIMEOUT = timedelta(minutes=5)
"""How long a worker may take to start serving. Its image may have to be pulled first."""

MAX_STORAGE_ERRORS = 3
"""Number of consecutive storage errors after which a worker counts as broken, if storage works for
another worker."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """When a worker's Lease was first and last seen.

    These times come from the operator's clock, because the worker's clock may be wrong. put_lease()
    describes the only exception.
    """

    first: datetime
    last: datetime


@dataclass(slots=True)
class WorkerRecord:
    """The record of one worker, whose pod may not have been seen yet."""

    pod: Pod | None = None
    lease: LeaseTimes | None = None
    """None while the worker does not serve."""
    warning: str = ""
    """The describer's warning; empty if there is none."""
    can_take_shards: bool = False
    """Whether the worker's release knows shards."""
    progress: str = ""
    """The progress of the worker's shard, as last stated in its Lease."""
    progress_at: datetime | None = None
    """When the progress last changed, by the operator's clock."""
    cordoned: bool = False
    """Whether the worker gets no more ImageJobs, because all of them would probably fail."""
    storage_errors: dict[tuple[str, int], datetime] = field(default_factory=dict)
    """Times of storage errors since the last success. Each key is an attempt: the name of the
    ImageJob and the number of the attempt."""
    last_success: datetime | None = None
    assigned_total: int = 0
    """Number of images that were assigned to the worker since it was launched."""
    served_since: datetime | None = None
    """When the worker started to serve. The time is kept after the worker stops serving."""
    released_at: datetime | None = None
    """When the worker last finished or lost all of its ImageJobs."""

    @property
    def idle_since(self) -> datetime | None:
        """When the worker became idle, if it has no ImageJobs now; None if it has no Lease."""
        if self.lease is None:
            return None

        return max(self.lease.first, self.released_at or self.lease.first)

    def is_silent(self, now: datetime) -> bool:
        """Return whether the worker has a Lease but has not renewed it in time."""
        return self.lease is not None and now - self.lease.last >= LEASE_DURATION

    def has_progressed(self, shard_uid: str, since: datetime) -> bool:
        """Return whether an image of the shard has ended since then."""
        is_of_shard = self.progress.startswith(f"{shard_uid}/")
        return is_of_shard and self.progress_at is not None and self.progress_at > since

    def record_outcome(self, job: ImageJob, now: datetime) -> None:
        """Record the outcome of an attempt by this worker."""
        status = job.status
        if status.phase == "done":
            self.last_success = now
            self.storage_errors.clear()
        elif status.error and status.error.reason in STORAGE_REASONS:
            self.storage_errors.setdefault((job.metadata.name, status.attempts), now)


@dataclass(frozen=True, slots=True)
class LaunchOutcome:
    """The outcome of a worker's launch. It is known only after the worker has ended."""

    describer: str
    problem: Problem | None
    """Why the launch failed; None if it was successful."""


@dataclass
class WorkerRegistry:
    """All workers of the namespace."""

    jobs: dict[str, DescriberJob] = field(default_factory=dict)
    records: dict[str, WorkerRecord] = field(default_factory=dict)
    """Records by pod name."""
    taken_names: set[str] = field(default_factory=set)
    """Names that can't be used for workers' Jobs, because other Jobs have these names."""

    _pods_of_job: dict[str, list[str]] = field(default_factory=dict)
    """Pod names by their Job's UID."""

    @property
    def has_leases(self) -> bool:
        """Whether any worker serves."""
        return any(record.lease for record in self.records.values())

    def record(self, worker: str) -> WorkerRecord:
        """Return the record of a worker (pod name); create it if there is none."""
        record = self.records.get(worker)
        if record is None:
            record = self.records[worker] = WorkerRecord()

        return record

    def find(self, worker: str | None) -> WorkerRecord | None:
        """Return the record of a worker (pod name); None if there is none."""
        return self.records.get(worker) if worker else None

    def pod(self, worker: str) -> Pod | None:
        """Return a worker's pod by its name; None if there is none."""
        record = self.records.get(worker)
        return record.pod if record else None

    def pod_of(self, job: DescriberJob) -> Pod | None:
        """Return the pod of a describer Job; None if it has none yet."""
        names = self._pods_of_job.get(job.uid)
        return self.records[names[0]].pod if names else None

    def put_job(self, job: DescriberJob, now: datetime) -> LaunchOutcome | None:
        """Record a describer Job's current state; return the launch's outcome if it just ended."""
        before = self.jobs.get(job.name)
        self.jobs[job.name] = job
        had_ended = before is not None and before.ended and before.uid == job.uid

        return self._outcome(job, now) if job.ended and not had_ended else None

    def drop_job(self, name: str, now: datetime) -> LaunchOutcome | None:
        """Forget a describer Job; return the launch's outcome if it was not known before."""
        job = self.jobs.pop(name, None)
        return self._outcome(job, now, retired=True) if job and not job.ended else None

    def put_pod(self, pod: Pod) -> None:
        """Record the current state of a worker's pod."""
        record = self.record(pod.name)
        if record.pod is None or record.pod.job_uid != pod.job_uid:
            self._unlink(record.pod)
            self._pods_of_job.setdefault(pod.job_uid, []).append(pod.name)

        record.pod = pod

    def drop_pod(self, name: str) -> None:
        """Forget a pod and its history, but keep its Lease, which may exist a little longer."""
        record = self.records.pop(name, None)
        if record is None:
            return

        self._unlink(record.pod)
        if record.lease:
            self.records[name] = WorkerRecord(
                lease=record.lease,
                warning=record.warning,
                can_take_shards=record.can_take_shards,
            )

    def put_lease(self, lease: Lease, now: datetime) -> bool:
        """Record that a worker serves; return False if this is only a timely renewal.

        A Lease that is seen for the first time, for example after the operator starts, may be old.
        In this case, the time of renewal in the Lease is used, unless it is in the future.
        """
        record = self.record(lease.worker)
        before = record.lease
        is_change = before is None or record.is_silent(now)

        if lease.warning and lease.warning != record.warning:
            record.warning, is_change = lease.warning, True

        can_take_shards = SHARDS_ABILITY in lease.abilities
        is_change |= can_take_shards != record.can_take_shards
        record.can_take_shards = can_take_shards
        if lease.progress != record.progress:
            record.progress, record.progress_at = lease.progress, now

        first = before.first if before else now
        record.lease = LeaseTimes(first, now if before else min(now, lease.renewed))
        record.served_since = record.served_since or now
        return is_change

    def drop_lease(self, name: str) -> None:
        """Forget a Lease, because its worker no longer serves."""
        record = self.records.get(name)
        if record is None:
            return

        record.lease, record.warning = None, ""
        if record.pod is None:
            record.served_since = None
            self._remove_if_unused(name, record)

    def prune(self) -> None:
        """Forget workers that have neither a pod nor a Lease, after all pods were listed."""
        for name, record in [*self.records.items()]:
            if record.pod is None:
                record.assigned_total = 0
                self._remove_if_unused(name, record)

    def failing(self) -> list[str]:
        """Return workers that have consecutive storage errors while another worker succeeded."""
        suspects = {
            name: min(record.storage_errors.values())
            for name, record in self.records.items()
            if len(record.storage_errors) >= MAX_STORAGE_ERRORS
        }
        if not suspects:
            return []

        successes = [record.last_success for record in self.records.values()]
        return [
            name for name, first in suspects.items() if any(at and at > first for at in successes)
        ]

    def _remove_if_unused(self, name: str, record: WorkerRecord) -> None:
        if record.lease is None and record.assigned_total == 0:
            del self.records[name]

    def _unlink(self, pod: Pod | None) -> None:
        """Remove a pod from its Job's entry in the index."""
        if pod is None:
            return

        names = self._pods_of_job[pod.job_uid]
        names.remove(pod.name)
        if not names:
            del self._pods_of_job[pod.job_uid]

    def _outcome(
        self, job: DescriberJob, now: datetime, *, retired: bool = False
    ) -> LaunchOutcome | None:
        """Return the outcome of an ended worker's launch; None if it can't be determined."""
        pod = self.pod_of(job)
        served_since = self.records[pod.name].served_since if pod else None
        killed = pod is not None and pod.termination is not None and pod.termination.killed

        if served_since:
            proven = now - served_since >= PROVEN_AFTER
            if retired or killed or job.succeeded or proven:
                return LaunchOutcome(job.describer, None)

        if retired and now - job.created < START_TIMEOUT:
            return None

        unknown = Problem(
            ReadyReason.LAUNCH_FAILED, f"the worker of Job {job.name} ended soon after its start"
        )
        return LaunchOutcome(job.describer, (pod.problem if pod else None) or unknown)
