"""The operator's view of its namespace: ImageJobs, workers and Describers as last observed.

Objects come from the watches and from the answers to the operator's own writes. An answer is
recorded like an event, so a write takes effect as soon as it is answered (like kube-scheduler's
assumed pods). The event that follows has the same version, so it changes nothing.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vision_node_contract.json_types import Json
from vision_node_contract.leases import RENEW_SECONDS
from vision_node_contract.models.describer import Describer, DescriberSpec
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import Reason
from vision_node_contract.models.shard import Shard, is_shard
from vision_node_contract.models.transitions import AnyJob

from .batches.outcomes import (
    as_failed_if_stopped_alone,
    record_health,
    record_history,
    record_own_problem,
    record_rate_limit,
    record_worker,
)
from .batches.pause import pause_after
from .batches.registry import BatchRegistry
from .describer_registry import DescriberRegistry
from .job_queue import JobQueue
from .object_versions import LONG_AGO, Kind, ObjectKey, ObjectVersions, version_of
from .problems import refusal_problem
from .provider_health import provider_health
from .rate_limit import RateLimit
from .statistics.job_statistics import JobStatistics
from .worker_objects import DescriberJob, Lease, Pod
from .worker_registry import LaunchOutcome, WorkerRegistry

log = logging.getLogger(__name__)

MAX_TURNS = 1000
"""Maximum number of sources of background writes that are remembered. The one that has waited
longest is forgotten first. It does not wait any longer for that, because it still comes first."""


PROGRESS_MARGIN = timedelta(seconds=2 * RENEW_SECONDS)
"""How much later than its timeout an image of a shard counts as late. The operator learns of a
worker's progress only when the worker renews its Lease, which may fail once."""


@dataclass
class State:
    """All data on which decisions are based. It has no clients and no clock."""

    since: datetime = LONG_AGO
    """When this operator started."""
    describers: DescriberRegistry = field(default_factory=DescriberRegistry)
    workers: WorkerRegistry = field(default_factory=WorkerRegistry)
    job_queue: JobQueue = field(default_factory=JobQueue)
    batches: BatchRegistry = field(default_factory=BatchRegistry)
    versions: ObjectVersions = field(default_factory=ObjectVersions)
    statistics: JobStatistics = field(default_factory=JobStatistics)

    knows_all_imagejobs: bool = False
    """Whether all ImageJobs have been listed since the start, and no change has been missed since.
    The unfinished ones are known earlier."""
    knows_all_shards: bool = False
    """Whether all ImageBatches and all shards have been listed, and no change has been missed
    since. Until then, no shard is created, assigned, counted or deleted."""
    unconfirmed: set[str] = field(default_factory=set)
    """Names of ImageJobs that were last seen unfinished, but that a newer list of unfinished
    ImageJobs lacks. Nothing is decided about them until their current state has been read."""
    pending_writes: dict[ObjectKey, str] = field(default_factory=dict)
    """Objects that are being written. Nothing else is decided about them until the write ends. If
    the write assigns an ImageJob, the value is the worker (pod name), and the ImageJob already
    counts as assigned. Otherwise, the value is empty."""
    background_writes: dict[ObjectKey, str] = field(default_factory=dict)
    """The pending writes that are not urgent, with the source of each (see
    decisions/background.py)."""
    turns: dict[str, int] = field(default_factory=dict)
    """When each source of background writes last had a turn, as a consecutive number."""
    started_by_source: Counter[str] = field(default_factory=Counter)
    """Number of background writes that were started for each of these sources."""
    backoff_until: dict[ObjectKey, datetime] = field(default_factory=dict)
    """Objects that are left alone until the given time, because a write failed or because their
    deletion has not been observed yet."""
    _turn: int = 0
    grace_until: datetime | None = None
    """End of the grace period, in which missed deadlines are not enforced. The grace period gives
    workers time to report after the operator was cut off from the API server."""

    def observe(self, kind: Kind, body: Json, now: datetime) -> bool:
        """Record an object from the API server; return whether a decision may depend on the change.

        An object that can't be parsed comes from another product or version, and is ignored.
        """
        name, version = body["metadata"]["name"], version_of(body)
        if not self.versions.observe(kind, name, version):
            return False

        if kind == "imagejobs":
            self.unconfirmed.discard(name)

        try:
            return self._put(kind, body, now)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            log.warning("%s %s is ignored because it can't be read: %s", kind, name, error)
            return True

    def forget(self, kind: Kind, name: str, version: int, now: datetime) -> None:
        """Record that an object was deleted at `version`. Keep a newer object of the same name."""
        if not self.versions.delete(kind, name, version):
            return

        self.backoff_until.pop(ObjectKey(kind, name), None)
        match kind:
            case "describers":
                self.describers.drop(name, now)
                self.statistics.drop_describer(name)
            case "imagebatches":
                self.batches.drop_batch(name)
            case "imagejobs":
                self.unconfirmed.discard(name)
                self._drop_shard(name, now)
                self._drop_imagejob(name, now)
                self.statistics.drop_job(name)
            case "jobs":
                self._record_launch(self.workers.drop_job(name, now), now)
            case "pods":
                self.workers.drop_pod(name)
            case "leases":
                self.workers.drop_lease(name)

    def sweep(self, kind: Kind, listed: Collection[str], version: int, now: datetime) -> None:
        """Forget older objects that are missing from a complete list read at `version`."""
        self.forget_missing(kind, self.versions.names(kind).difference(listed), version, now)

        if kind == "describers":
            self.describers.prune(now)
        elif kind == "pods":
            self.workers.prune()

        self.versions.finish_list(kind, version)

    def label(self, describer: str) -> str:
        """Return the name under which a Describer's ImageJobs and workers appear in metrics."""
        exists = self.describers.pool(describer) is not None
        return self.statistics.label(describer, exists=exists)

    def forget_missing(
        self, kind: Kind, unlisted: Iterable[str], version: int, now: datetime
    ) -> None:
        """Forget the `unlisted` objects, unless they are newer than the list, read at `version`."""
        for name in self.versions.missing(kind, unlisted, version):
            self.forget(kind, name, version, now)

    def sweep_unfinished(self, listed: Collection[str], version: int) -> None:
        """Record a list of the unfinished ImageJobs, read at `version`.

        An ImageJob that was unfinished before and is missing from the list has been finished or
        deleted. Nothing is decided about it until it is known which.
        """
        unlisted = [name for name in self.job_queue.unfinished if name not in listed]
        self.unconfirmed.update(self.versions.missing("imagejobs", unlisted, version))
        self.versions.finish_list("imagejobs", version)

    def sweep_shards(self, listed: Collection[str], version: int, now: datetime) -> None:
        """Forget shards that are missing from a complete list of all shards, read at `version`."""
        unlisted = [name for name in self.batches.shards if name not in listed]
        self.forget_missing("imagejobs", unlisted, version, now)

    def spec_for(self, job: AnyJob) -> DescriberSpec:
        """Return the spec of the ImageJob's Describer, or the defaults if there is none."""
        pool = self.describers.pool(job.spec.describer)
        return pool.spec if pool else DescriberSpec()

    def timeout(self, job: AnyJob) -> timedelta:
        """Return how long one attempt at the ImageJob, or at an image of the shard, may take."""
        return timedelta(seconds=job.spec.timeout_seconds or self.spec_for(job).timeout_seconds)

    def shard_timeout(self, shard: Shard) -> timedelta:
        """Return how long a shard may take until the operator hears that an image has ended."""
        return self.timeout(shard) + PROGRESS_MARGIN

    def max_attempts(self, job: AnyJob) -> int:
        """Return how many attempts the ImageJob may have."""
        return job.spec.max_attempts or self.spec_for(job).max_attempts

    def rate_limit(self, describer: str) -> RateLimit:
        """Return the describer's rate limit.

        A restarted operator doesn't know when its predecessor last assigned an image, so the first
        slot is one interval after the start.
        """
        record = self.describers.record(describer)
        return record.rate_limit or RateLimit(self.since + record.interval, LONG_AGO)

    def queued(self, describer: str, now: datetime) -> Iterator[ImageJob]:
        """Yield the describer's ImageJobs that may be assigned now, in the order of assignment."""
        return self._due(self.job_queue.queued(describer), now)

    def suspects(self, describer: str, now: datetime) -> Iterator[ImageJob]:
        """Yield the describer's suspects that may be assigned now. Each needs its own worker."""
        jobs = (job for job in self.job_queue.suspects() if job.spec.describer == describer)
        return self._due((job for job in jobs if job.status.phase == "queued"), now)

    def workers_with_suspects(self) -> set[str]:
        """Return the workers (pod names) that have a suspect and must get no other ImageJobs."""
        return {
            job.status.worker or self.pending_writes.get(key_of(job), "")
            for job in self.job_queue.suspects()
        } - {""}

    def free_jobs(self, jobs: Iterable[ImageJob], now: datetime) -> Iterator[ImageJob]:
        """Yield the ImageJobs among `jobs` that may be written now."""
        return (job for job in jobs if self.is_free(key_of(job), now))

    def queued_before(self, describer: str, created: datetime, now: datetime) -> Iterator[ImageJob]:
        """Yield the describer's ImageJobs that were created by then and may be written now."""
        return self._due(self.job_queue.queued_before(describer, created), now)

    def _due(self, jobs: Iterable[ImageJob], now: datetime) -> Iterator[ImageJob]:
        for job in self.free_jobs(jobs, now):
            due = job.status.next_attempt_time
            if due is None or due <= now:
                yield job

    def is_free(self, key: ObjectKey, now: datetime) -> bool:
        """Return whether the object may be written.

        It may not while a write is pending or has just failed, or while its state is uncertain.
        """
        if key in self.pending_writes or self.backoff_until.get(key, now) > now:
            return False

        return key.kind != "imagejobs" or key.name not in self.unconfirmed

    def begin_round(self, now: datetime) -> None:
        """Put ImageJobs whose wait or backoff has ended back into their queues."""
        for name in self.job_queue.release(now):
            self.backoff_until.pop(ObjectKey("imagejobs", name), None)

    def begin_write(self, key: ObjectKey, worker: str = "", source: str | None = None) -> None:
        """Record that an object is being written.

        If the write assigns an ImageJob, `worker` is the name of the worker's pod. If the write is
        a background write, `source` is what it is for.
        """
        self.pending_writes[key] = worker
        if source is not None:
            self.background_writes[key] = source
            self._take_turn(source)

    def end_write(self, key: ObjectKey) -> None:
        """Record that a write has ended, whether or not it was successful."""
        self.pending_writes.pop(key, None)
        self.background_writes.pop(key, None)

    def back_off(self, key: ObjectKey, until: datetime) -> None:
        """Leave the object alone until the given time. Postpone its deletion, if any is due."""
        self.backoff_until[key] = until
        if key.kind == "imagejobs":
            self.job_queue.postpone(key.name, until)
        elif key.kind == "imagebatches":
            self.batches.postpone(key.name, until)

    def record_deletion(self, key: ObjectKey, until: datetime) -> None:
        """Record that an object was deleted. Until `until`, wait for the watch to report that."""
        self.back_off(key, until)
        if key.kind == "imagejobs":
            self.job_queue.record_deletion(key.name)

    def take_slot(self, describer: str, now: datetime, images: int = 1) -> None:
        """Record that images of the describer are being assigned."""
        record = self.describers.record(describer)
        record.rate_limit = self.rate_limit(describer)
        record.rate_limit.take_slot(record.interval, now, images)

    def record_status_write(self, describer: str, now: datetime) -> None:
        """Record that a Describer's status is being written."""
        self.describers.record(describer).status_written_at = now

    def record_refusal(self, describer: str, message: str, now: datetime) -> None:
        """Record that the API server refused a worker's Job."""
        problem = refusal_problem(message)
        self.describers.record(describer).launch_backoff.record_problem(problem, now)

    def record_name_taken(self, job_name: str) -> None:
        """Record that a worker's Job can't have this name, so that another slot is used."""
        self.workers.taken_names.add(job_name)

    def cordon(self, worker: str) -> None:
        """Stop assigning ImageJobs to a worker (pod name)."""
        self.workers.record(worker).cordoned = True

    def is_in_grace_period(self, now: datetime) -> bool:
        """Return whether workers still have time to report after the operator was cut off."""
        return self.grace_until is not None and now < self.grace_until

    def is_silent(self, worker: str, now: datetime) -> bool:
        """Return whether a worker (pod name) has a Lease but has not renewed it in time."""
        record = self.workers.find(worker)
        return record is not None and record.is_silent(now)

    def _take_turn(self, source: str) -> None:
        """Put a source behind all others."""
        self.turns.pop(source, None)
        self.turns[source] = self._turn = self._turn + 1
        self.started_by_source[source] += 1
        if len(self.turns) > MAX_TURNS:
            oldest = next(iter(self.turns))
            del self.turns[oldest], self.started_by_source[oldest]

    def _put(self, kind: Kind, body: Json, now: datetime) -> bool:
        match kind:
            case "describers":
                self._put_describer(Describer.model_validate(body))
            case "imagebatches":
                self._put_batch(ImageBatch.model_validate(body), now)
            case "imagejobs" if is_shard(body):
                self._put_shard(Shard.model_validate(body), now)
            case "imagejobs":
                self._put_imagejob(ImageJob.model_validate(body), now)
            case "jobs":
                self._put_job(DescriberJob.of(body), now)
            case "pods":
                self.workers.put_pod(Pod.of(body))
            case "leases":
                return self._put_lease(Lease.of(body), now)

        return True

    def _put_batch(self, batch: ImageBatch, now: datetime) -> None:
        _ = batch.counted, batch.suspects  # raises ValueError before anything is recorded
        before = self.batches.batches.get(batch.metadata.name)
        if before and before.uid == batch.metadata.uid:
            self.statistics.record_batch(batch, before.batch, self.label(batch.spec.describer))

        self.batches.put_batch(batch, self.job_queue.ttl, now)

    def _put_describer(self, describer: Describer) -> None:
        name = describer.metadata.name
        before = self.describers.pool(name)
        self.describers.put(describer)
        self.statistics.add_describer(name)

        after = self.describers.pool(name)
        if before and after and before.template_hash != after.template_hash:
            self.batches.end_pauses(name)  # the change may have fixed the problem

    def _put_shard(self, shard: Shard, now: datetime) -> None:
        problem = shard.contradiction
        if problem:
            name = shard.metadata.name
            log.warning("shard %s: its images are described again: %s", name, problem)
            shard = shard.without_outcome()

        before = self.batches.shards.get(shard.metadata.name)
        self._release_worker(before, now)
        before = self.batches.put_shard(shard, now)

        attempts = before.status.attempts if before else 0
        if shard.status.phase == "processing" and shard.status.attempts > attempts:
            self.workers.record(shard.status.worker or "").assigned_total += shard.range.size
        record = self.batches.batch_of(shard)
        if shard.finished and not (before and before.finished):
            self._record_shard_end(shard, now)
            if record and problem:
                record.pause = pause_after(record.pause, Reason.DESCRIBER_FAILED, problem, now)

        failed = as_failed_if_stopped_alone(record, shard) if record and shard.finished else shard
        if failed is not shard:
            self.batches.put_shard(failed, now)

    def _drop_shard(self, name: str, now: datetime) -> None:
        self._release_worker(self.batches.drop_shard(name), now)

    def _release_worker(self, shard: Shard | None, now: datetime) -> None:
        """Record that a shard that was in processing is no longer in its worker's hands."""
        if shard is None or shard.status.phase != "processing":
            return

        if shard.spec.images.alone:
            self.batches.history(shard.spec.describer).alone_ended = now
        if worker := self.workers.find(shard.status.worker):
            worker.released_at = now

    def _record_shard_end(self, shard: Shard, now: datetime) -> None:
        record = self.describers.record(shard.spec.describer)
        record.rate_limit = self.rate_limit(shard.spec.describer)
        record_rate_limit(record.rate_limit, shard, now)
        record_health(record, shard)
        history = self.batches.history(shard.spec.describer)
        is_paused = history.pause is not None
        record_history(history, shard, now)
        if batch := self.batches.batch_of(shard):
            record_own_problem(batch, shard, now, is_of_all=is_paused)

        worker = self.workers.find(shard.status.worker)
        if worker and worker.pod:
            record_worker(worker, shard, now)

    def _put_job(self, job: DescriberJob, now: datetime) -> None:
        if job.name not in self.workers.jobs:
            self.describers.record(job.describer).launch_backoff.record_created()

        self._record_launch(self.workers.put_job(job, now), now)

    def _record_launch(self, outcome: LaunchOutcome | None, now: datetime) -> None:
        if outcome is None:
            return

        backoff = self.describers.record(outcome.describer).launch_backoff
        if outcome.problem:
            backoff.record_failure(outcome.problem, now)
        else:
            backoff.record_success()

    def _put_lease(self, lease: Lease, now: datetime) -> bool:
        is_change = self.workers.put_lease(lease, now)
        requests = lease.requests_per_image
        if requests is None:
            return is_change

        record = self.describers.record(lease.describer)
        is_change |= record.requests_per_image != requests
        record.requests_per_image = requests
        return is_change

    def _put_imagejob(self, job: ImageJob, now: datetime) -> None:
        name = job.metadata.name
        before = self.job_queue.unfinished.get(name)
        if name not in self.job_queue.finished:
            self._count_assignment(job, before)
        if before and job.finished:
            self._record_end(job, now)
        self.statistics.record(job, before, self.label(job.spec.describer), now)

        ended = self.job_queue.end_of(job, now)
        self._drop_imagejob(name, now)
        self.job_queue.put(job, now, ended)
        if not job.finished:
            self.describers.record(job.spec.describer).load.add(job, now)

        self._record_outcome(job, before, now)

    def _drop_imagejob(self, name: str, now: datetime) -> None:
        job = self.job_queue.drop(name)
        if job is None:
            return

        self.describers.record(job.spec.describer).load.remove(job, now)
        worker = self.workers.find(job.status.worker)
        if worker and job.status.worker and not self.job_queue.in_flight(job.status.worker):
            worker.released_at = now

    def _count_assignment(self, job: ImageJob, before: ImageJob | None) -> None:
        status, attempts = job.status, before.status.attempts if before else 0
        if not status.worker or status.attempts <= attempts:
            return

        # Most finished ImageJobs name a worker that no longer exists, for which no record is made.
        seen_finished = before is None and job.finished
        find = self.workers.find if seen_finished else self.workers.record
        if record := find(status.worker):
            record.assigned_total += 1

    def _record_end(self, job: ImageJob, now: datetime) -> None:
        """Record an ImageJob's failure, or its duration if the first attempt was successful."""
        status = job.status
        if status.phase == "failed":
            self.job_queue.add_failure(job)
        elif status.attempts == 1 and status.start_time and status.completion_time:
            took = min(status.completion_time, now) - status.start_time
            self.describers.record(job.spec.describer).load.measure(took.total_seconds())

    def _record_outcome(self, job: ImageJob, before: ImageJob | None, now: datetime) -> None:
        """Record the consequences of an ImageJob's status for its worker and its provider."""
        worker = self.workers.find(job.status.worker)
        if worker and worker.pod:
            worker.record_outcome(job, now)

        record = self.describers.record(job.spec.describer)
        rate_limit = record.rate_limit = self.rate_limit(job.spec.describer)
        if before is None:
            rate_limit.restore(job, now)
        # A finished ImageJob counts only if it was seen unfinished before, because a list contains
        # old finished ImageJobs in no particular order.
        if before or not job.finished:
            rate_limit.record_outcome(job, now)

        is_success = before is not None and job.status.phase == "done"
        if is_success and not (job.status.result and job.status.result.fallback):
            self.batches.end_pause(job.spec.describer)

        health = provider_health(job) if before and job.finished and job.status.worker else None
        if health:
            record.provider_health = health


def key_of(job: AnyJob) -> ObjectKey:
    """Return the key of an ImageJob."""
    return ObjectKey("imagejobs", job.metadata.name)
