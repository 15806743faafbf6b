"""Describer Jobs, their pods and their Leases: who could work, and what becomes of launches."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vision_node_contract.json_types import Json
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import STORAGE_REASONS, ReadyReason
from vision_node_contract.names import DESCRIBER_LABEL, REQUESTS_ANNOTATION, WARNING_ANNOTATION

from .problems import Trouble, trouble_of
from .termination import Ending

TEMPLATE_LABEL = "vision-node.dev/template-hash"

JOB_UID_LABEL = "batch.kubernetes.io/controller-uid"
"""By uid, because a retired Job's name is used again while its pod still ends."""

PROVEN = timedelta(seconds=30)
"""A worker that has served for so long was launched well, whatever ends it afterwards."""

STARTING = timedelta(minutes=5)
"""A pod may pull its image for so long before it first says that it serves."""

LONGEST_HOLD_OFF_SECONDS = 60

TROUBLE_KEPT = timedelta(minutes=2)
"""Launches that are still wanted are tried at least twice in that time, so what is older is over."""

ERRORS_IN_A_ROW = 3
"""A worker that infrastructure fails so often, while it serves another, is what is broken."""

MOST_DIGITS = 2
"""Of the requests for an image: a worker's word, which must not stop its pool, or us."""


@dataclass(frozen=True, slots=True)
class DescriberJob:
    """A batch/v1 Job that runs one worker."""

    name: str
    uid: str
    describer: str
    template: str
    created: datetime
    ended: bool
    """Its pod has succeeded or failed."""
    succeeded: bool
    deleting: bool

    @classmethod
    def of(cls, body: Json) -> "DescriberJob":
        """Read a batch/v1 Job."""
        meta, status = body["metadata"], body.get("status", {})
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            describer=meta["labels"][DESCRIBER_LABEL],
            template=meta["labels"].get(TEMPLATE_LABEL, ""),
            created=datetime.fromisoformat(meta["creationTimestamp"]),
            ended=bool(status.get("succeeded") or status.get("failed")),
            succeeded=bool(status.get("succeeded")),
            deleting="deletionTimestamp" in meta,
        )


@dataclass(frozen=True, slots=True)
class Pod:
    """A worker's pod."""

    name: str
    job_uid: str
    alive: bool
    deleting: bool
    trouble: Trouble | None = None
    ending: Ending | None = None

    @classmethod
    def of(cls, body: Json) -> "Pod":
        """Read a v1 Pod."""
        meta = body["metadata"]
        return cls(
            trouble=trouble_of(body.get("status", {})),
            name=meta["name"],
            job_uid=meta["labels"][JOB_UID_LABEL],
            alive=body.get("status", {}).get("phase") not in {"Succeeded", "Failed"},
            deleting="deletionTimestamp" in meta,
            ending=Ending.of(body),
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """A worker's Lease, by our clock: the worker's may be wrong."""

    first: datetime
    last: datetime


@dataclass
class Fleet:
    """All workers of the namespace."""

    jobs: dict[str, DescriberJob] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    heard: dict[str, Heard] = field(default_factory=dict)
    """By pod name."""
    warnings: dict[str, str] = field(default_factory=dict)
    """By pod name: what it warns of in its Lease."""
    requests_per_image: dict[str, int] = field(default_factory=dict)
    """By describer: as its newest worker says in its Lease."""
    cordoned: set[str] = field(default_factory=set)
    """Pods that let an attempt time out, or see errors where others see none: they would eat one
    image after the other."""
    errors: dict[str, dict[tuple[str, int], datetime]] = field(default_factory=dict)
    """By pod: attempts (ImageJob, number) since its last good one that infrastructure failed, and
    when."""
    succeeded: dict[str, datetime] = field(default_factory=dict)
    """By pod: when it last described an image."""
    taken: set[str] = field(default_factory=set)
    """Names of slots that somebody else's Jobs have, or had: the next slot does as well."""
    failures: dict[str, int] = field(default_factory=dict)
    """Per describer: launches in a row that came to nothing."""
    launch_after: dict[str, datetime] = field(default_factory=dict)
    """Per describer: not before, because launches came to nothing."""
    troubles: dict[str, tuple[Trouble, datetime]] = field(default_factory=dict)
    """Per describer: what the last launch in vain came to nothing for, and when."""

    _served: dict[str, datetime] = field(default_factory=dict)
    """By pod name: since when it has served, though its Lease may be gone."""

    def put_job(self, body: Json, now: datetime) -> None:
        """Take in a describer Job as it is now."""
        job = DescriberJob.of(body)
        before = self.jobs.get(job.name)
        self.jobs[job.name] = job
        if before is None and job.describer not in self.failures:
            self.troubles.pop(job.describer, None)  # refused before, it is there now
        if job.ended and not (before and before.ended and before.uid == job.uid):
            self._settle_launch(job, now)

    def drop_job(self, name: str, now: datetime) -> None:
        """Forget a describer Job."""
        job = self.jobs.pop(name, None)
        if job and not job.ended:
            self._settle_launch(job, now, retired=True)

    def put_pod(self, body: Json) -> None:
        """Take in a worker's pod as it is now."""
        pod = Pod.of(body)
        self.pods[pod.name] = pod

    def drop_pod(self, name: str) -> None:
        """Forget a pod and what was known of it."""
        self.pods.pop(name, None)
        self._served.pop(name, None)
        self.cordoned.discard(name)
        self.errors.pop(name, None)
        self.succeeded.pop(name, None)

    def learn(self, job: ImageJob, now: datetime) -> None:
        """Take in how an attempt went for its worker."""
        worker, status = job.status.worker or "", job.status
        if worker not in self.pods:
            return

        if status.phase == "done":
            self.succeeded[worker] = now
            self.errors.pop(worker, None)
        elif status.error and status.error.reason in STORAGE_REASONS:
            attempt = (job.metadata.name, status.attempts)
            self.errors.setdefault(worker, {}).setdefault(attempt, now)

    def failing(self) -> list[str]:
        """Return pods with several errors in a row, since the first of which another pod has succeeded."""
        return [
            pod
            for pod, errors in self.errors.items()
            if len(errors) >= ERRORS_IN_A_ROW
            and any(at > min(errors.values()) for at in self.succeeded.values())
        ]

    def put_lease(self, body: Json, now: datetime) -> None:
        """Take in that a worker serves; one that we find at our start may have been silent for long."""
        name = body["metadata"]["name"]
        before = self.heard.get(name)
        renewed = datetime.fromisoformat(body["spec"]["renewTime"])
        annotations = body["metadata"].get("annotations", {})
        if warning := annotations.get(WARNING_ANNOTATION):
            self.warnings[name] = warning

        requests = annotations.get(REQUESTS_ANNOTATION, "")
        if requests.isdecimal() and len(requests) <= MOST_DIGITS:
            describer = body["metadata"]["labels"][DESCRIBER_LABEL]
            self.requests_per_image[describer] = max(1, int(requests))

        self.heard[name] = Heard(before.first, now) if before else Heard(now, min(now, renewed))
        self._served.setdefault(name, now)

    def drop_lease(self, name: str) -> None:
        """Forget a Lease: its worker no longer serves."""
        self.heard.pop(name, None)
        self.warnings.pop(name, None)
        if name not in self.pods:
            self._served.pop(name, None)

    def pod_of(self, job: DescriberJob) -> Pod | None:
        """Return the pod of a describer Job, if it has one yet."""
        return next((pod for pod in self.pods.values() if pod.job_uid == job.uid), None)

    def is_launch_held_off(self, describer: str, now: datetime) -> bool:
        """Whether launches of this describer came to nothing just now."""
        return self.launch_after.get(describer, now) > now

    def trouble(self, describer: str, now: datetime) -> Trouble | None:
        """Return why launches come to nothing, if the last ones did."""
        found, when = self.troubles.get(describer, (None, now))
        return found if now - when < TROUBLE_KEPT else None

    def forgive(self, describer: str) -> None:
        """Forget launches in vain: what is launched next is another thing."""
        for learnt in (self.failures, self.launch_after, self.troubles):
            learnt.pop(describer, None)

    def _settle_launch(self, job: DescriberJob, now: datetime, *, retired: bool = False) -> None:
        """Learn from a worker's end whether its launch was of use; wait ever longer while none is."""
        pod = self.pod_of(job)
        served = self._served.get(pod.name) if pod else None
        killed = pod is not None and pod.ending is not None and pod.ending.killed

        if served and (retired or killed or job.succeeded or now - served >= PROVEN):
            self.failures.pop(job.describer, None)
            self.troubles.pop(job.describer, None)
        elif not retired or now - job.created >= STARTING:
            failures = self.failures[job.describer] = self.failures.get(job.describer, 0) + 1
            pause = timedelta(seconds=min(LONGEST_HOLD_OFF_SECONDS, 2 ** min(failures, 6)))
            self.launch_after[job.describer] = now + pause
            unknown = Trouble(
                ReadyReason.LAUNCH_FAILED, f"the worker of Job {job.name} did not serve for long"
            )
            self.troubles[job.describer] = (pod.trouble if pod else None) or unknown, now
