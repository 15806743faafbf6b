"""What is: ImageJobs and workers as the watches last showed them, or as our own writes were answered.

An answered write counts at once (as kube-scheduler's assumed pods do), because its answer is observed
like an event; the event itself, when it arrives, is no newer and changes nothing.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from vision_node_contract.imagejob import ImageJob
from vision_node_contract.names import DESCRIBER_LABEL

Kind = Literal["imagejobs", "jobs", "pods", "leases"]
Json = dict[str, Any]

LEASE_GRACE_SECONDS = 20.0
"""A worker whose Lease nobody renewed for so long is hung or cut off. Workers renew every 5 s."""

TEMPLATE_LABEL = "vision-node.dev/template-hash"

QueueKey = tuple[int, datetime, str]
"""Sort key: highest priority first, then oldest, then by name."""


@dataclass(frozen=True, slots=True)
class Finished:
    """All that is kept of a finished ImageJob."""

    name: str
    version: int
    expires: datetime
    image_key: str


@dataclass(frozen=True, slots=True)
class DescriberJob:
    """A batch/v1 Job that runs one worker."""

    name: str
    version: int
    describer: str
    template: str
    ended: bool
    """Its pod has succeeded or failed."""
    deleting: bool

    @classmethod
    def of(cls, body: Json) -> "DescriberJob":
        """Read a batch/v1 Job."""
        meta, status = body["metadata"], body.get("status", {})
        return cls(
            name=meta["name"],
            version=version_of(body),
            describer=meta["labels"][DESCRIBER_LABEL],
            template=meta["labels"].get(TEMPLATE_LABEL, ""),
            ended=bool(status.get("succeeded") or status.get("failed")),
            deleting="deletionTimestamp" in meta,
        )


@dataclass(frozen=True, slots=True)
class Pod:
    """A worker's pod."""

    name: str
    version: int
    job: str
    alive: bool
    deleting: bool

    @classmethod
    def of(cls, body: Json) -> "Pod":
        """Read a v1 Pod."""
        meta = body["metadata"]
        return cls(
            name=meta["name"],
            version=version_of(body),
            job=meta["labels"]["batch.kubernetes.io/job-name"],
            alive=body.get("status", {}).get("phase") not in {"Succeeded", "Failed"},
            deleting="deletionTimestamp" in meta,
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's word that it serves. `heard` is our clock: its own may be wrong."""

    name: str
    version: int
    describer: str
    heard: datetime


@dataclass(frozen=True, slots=True)
class Worker:
    """A describer Job and what it takes to assign to it."""

    job: DescriberJob
    pod: Pod | None
    serving: bool
    held: int
    idle_since: datetime | None


@dataclass
class State:
    """The operator's view of its namespace; knows no clients, only what it was shown."""

    jobs: dict[str, ImageJob] = field(default_factory=dict)
    """Unfinished ImageJobs by name."""
    finished: dict[str, Finished] = field(default_factory=dict)
    describer_jobs: dict[str, DescriberJob] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    busy: dict[str, str] = field(default_factory=dict)
    """Objects with a write of ours under way (nothing is decided about them), by name; the value is the
    pod that an assignment under way is for, else empty. It counts as held already."""
    held_off: dict[str, datetime] = field(default_factory=dict)
    """Objects or pools that are left alone until then, because a write or a launch failed."""
    launch_failures: dict[str, int] = field(default_factory=dict)
    """Per describer: workers in a row that ended before they served."""

    _queues: dict[str, list[QueueKey]] = field(default_factory=dict)
    """Sorted, by describer."""
    _cancelled: set[str] = field(default_factory=set)
    _images: Counter[str] = field(default_factory=Counter)
    """How many ImageJobs name an image; a retry names its original's."""
    _expiry: list[tuple[datetime, str]] = field(default_factory=list)
    _processing: dict[str, str] = field(default_factory=dict)
    _held: dict[str, set[str]] = field(default_factory=dict)
    _idle_since: dict[str, datetime] = field(default_factory=dict)
    _served: set[str] = field(default_factory=set)

    def observe(self, kind: Kind, body: Json, now: datetime) -> None:
        """Take in an object as the API server showed it; one that is older than what we have is ignored.

        resourceVersions of one kind compare as integers (KEP-5504).
        """
        if version_of(body) < self._version(kind, body["metadata"]["name"]):
            return
        match kind:
            case "imagejobs":
                self._observe_job(ImageJob.model_validate(body), now)
            case "jobs":
                self._observe_describer_job(DescriberJob.of(body), now)
            case "pods":
                self.pods[body["metadata"]["name"]] = Pod.of(body)
            case "leases":
                meta = body["metadata"]
                describer = meta["labels"][DESCRIBER_LABEL]
                self._observe_lease(Lease(meta["name"], version_of(body), describer, now))

    def forget(self, kind: Kind, name: str, now: datetime) -> None:
        """Take in that an object is gone."""
        match kind:
            case "imagejobs":
                self._drop_job(name, now)
            case "jobs":
                self.describer_jobs.pop(name, None)
            case "pods":
                self.pods.pop(name, None)
                self._idle_since.pop(name, None)
                self._served.discard(name)
            case "leases":
                self.leases.pop(name, None)
        self.held_off.pop(name, None)

    def replace(self, kind: Kind, bodies: Iterable[Json], version: int, now: datetime) -> None:
        """Take in a whole list, read at `version`: what is absent and no newer is gone."""
        seen: set[str] = set()
        for body in bodies:
            seen.add(body["metadata"]["name"])
            self.observe(kind, body, now)
        for name in [n for n in self._names(kind) if n not in seen]:
            if self._version(kind, name) <= version:
                self.forget(kind, name, now)

    def describers_wanted(self) -> list[str]:
        """Return the names of describers for which an ImageJob is queued."""
        return [name for name, queue in self._queues.items() if queue]

    def queued(self, describer: str, now: datetime) -> Iterator[ImageJob]:
        """Yield the describer's ImageJobs that may be assigned now, in the order in which they should be."""
        for _, _, name in self._queues.get(describer, ()):
            job = self.jobs[name]
            due = job.status.next_attempt_time
            if (due is None or due <= now) and self.is_free(name, now):
                yield job

    def processing(self) -> Iterator[ImageJob]:
        """Yield ImageJobs that a worker holds."""
        return (self.jobs[name] for name in self._processing)

    def cancelled(self) -> Iterator[ImageJob]:
        """Yield queued ImageJobs that nobody wants any more."""
        return (self.jobs[name] for name in self._cancelled)

    def expired(self, now: datetime) -> Iterator[Finished]:
        """Yield finished ImageJobs whose time to live is over."""
        for expires, name in self._expiry:
            if expires > now:
                return
            yield self.finished[name]

    def workers(self, describer: str, now: datetime) -> list[Worker]:
        """Return the describer's workers, by Job name."""
        # A retired Job's name is used again while its pod still ends: the living pod is the Job's.
        ordered = sorted(self.pods.values(), key=lambda pod: pod.alive and not pod.deleting)
        pods = {pod.job: pod for pod in ordered}
        jobs = sorted(self.describer_jobs.values(), key=lambda job: job.name)
        return [self._worker(job, pods.get(job.name), now) for job in jobs if job.describer == describer]

    def is_image_named(self, key: str) -> bool:
        """Whether some ImageJob still names the image with this object key."""
        return key in self._images

    def is_free(self, name: str, now: datetime) -> bool:
        """Whether the object or pool may be acted upon: no write under way, none failed just now."""
        return name not in self.busy and self.held_off.get(name, now) <= now

    def _worker(self, job: DescriberJob, pod: Pod | None, now: datetime) -> Worker:
        if pod is None:
            return Worker(job=job, pod=None, serving=False, held=0, idle_since=None)
        lease = self.leases.get(pod.name)
        heard = lease is not None and now - lease.heard < timedelta(seconds=LEASE_GRACE_SECONDS)
        ending = job.deleting or job.ended or pod.deleting or not pod.alive
        return Worker(
            job=job,
            pod=pod,
            serving=heard and not ending,
            held=len(self._held.get(pod.name, ())) + sum(p == pod.name for p in self.busy.values()),
            idle_since=self._idle_since.get(pod.name),
        )

    def _observe_job(self, job: ImageJob, now: datetime) -> None:
        name = job.metadata.name
        self._drop_job(name, now)
        self._images[job.spec.image.key] += 1
        if job.finished:
            keep = timedelta(seconds=job.spec.ttl_seconds_after_finished)
            expires = (job.status.completion_time or now) + keep
            version = int(job.metadata.resource_version)
            self.finished[name] = Finished(name, version, expires, job.spec.image.key)
            insort(self._expiry, (expires, name))
            return
        self.jobs[name] = job
        if job.status.phase == "processing":
            worker = job.status.worker or ""
            self._processing[name] = worker
            self._held.setdefault(worker, set()).add(name)
        elif job.spec.cancel:
            self._cancelled.add(name)
        else:
            insort(self._queues.setdefault(job.spec.describer, []), _queue_key(job))

    def _drop_job(self, name: str, now: datetime) -> None:
        done = self.finished.pop(name, None)
        if done:
            _remove(self._expiry, (done.expires, name))
            self._drop_image(done.image_key)
        job = self.jobs.pop(name, None)
        if job is None:
            return
        self._drop_image(job.spec.image.key)
        if name in self._processing:
            self._release(name, now)
        elif name in self._cancelled:
            self._cancelled.remove(name)
        else:
            _remove(self._queues[job.spec.describer], _queue_key(job))

    def _drop_image(self, key: str) -> None:
        self._images[key] -= 1
        if not self._images[key]:
            del self._images[key]

    def _release(self, name: str, now: datetime) -> None:
        worker = self._processing.pop(name)
        self._held[worker].discard(name)
        if not self._held[worker]:
            del self._held[worker]
            self._idle_since[worker] = now

    def _observe_describer_job(self, job: DescriberJob, now: datetime) -> None:
        before = self.describer_jobs.get(job.name)
        self.describer_jobs[job.name] = job
        if job.ended and not (before and before.ended):
            self._count_end(job, now)

    def _count_end(self, job: DescriberJob, now: datetime) -> None:
        """A worker that ends before it ever served would end again: launch the next one later."""
        pods = [pod.name for pod in self.pods.values() if pod.job == job.name]
        if any(pod in self._served for pod in pods):
            return
        failures = self.launch_failures.get(job.describer, 0) + 1
        self.launch_failures[job.describer] = failures
        self.held_off[pool_key(job.describer)] = now + timedelta(seconds=min(60, 2**failures))

    def _observe_lease(self, lease: Lease) -> None:
        if lease.name not in self._served:
            self._served.add(lease.name)
            self._idle_since.setdefault(lease.name, lease.heard)
            self.launch_failures.pop(lease.describer, None)
        self.leases[lease.name] = lease

    def _names(self, kind: Kind) -> list[str]:
        match kind:
            case "imagejobs":
                return [*self.jobs, *self.finished]
            case "jobs":
                return [*self.describer_jobs]
            case "pods":
                return [*self.pods]
            case "leases":
                return [*self.leases]

    def _version(self, kind: Kind, name: str) -> int:
        match kind:
            case "imagejobs":
                job = self.jobs.get(name)
                done = self.finished.get(name)
                return int(job.metadata.resource_version) if job else done.version if done else 0
            case "jobs":
                seen: DescriberJob | Pod | Lease | None = self.describer_jobs.get(name)
            case "pods":
                seen = self.pods.get(name)
            case "leases":
                seen = self.leases.get(name)
        return seen.version if seen else 0


def _remove(ordered: list[Any], key: Any) -> None:
    del ordered[bisect_left(ordered, key)]


def pool_key(describer: str) -> str:
    """Return the key under which a describer's pool is held off; no object's name has a slash."""
    return f"pool/{describer}"


def version_of(body: Json) -> int:
    """Return an object's resourceVersion as the integer that it is (KEP-5504)."""
    return int(body["metadata"]["resourceVersion"])


def _queue_key(job: ImageJob) -> QueueKey:
    created = job.metadata.creation_timestamp or datetime.min.replace(tzinfo=UTC)
    return (-job.spec.priority, created, job.metadata.name)
