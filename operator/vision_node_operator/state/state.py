"""What is: ImageJobs and workers as the watches last showed them, or as our own writes were answered.

An answered write counts at once (as kube-scheduler's assumed pods do), because its answer is
observed like an event; the event itself, when it arrives, is no newer and changes nothing.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from vision_node_contract.json_types import Json
from vision_node_contract.models.describer import Describer, DescriberSpec
from vision_node_contract.models.imagejob import ImageJob

from .job_queue import Backlog
from .pools import Pool
from .provider_health import Verdict, verdict
from .rate_limit import Pace, interval_of
from .worker_registry import Fleet

log = logging.getLogger(__name__)

Kind = Literal["describers", "imagejobs", "jobs", "pods", "leases"]

LONG_AGO = datetime.min.replace(tzinfo=UTC)

LEASE_GRACE = timedelta(seconds=20)
"""A worker whose Lease nobody renewed for so long is hung or cut off. Workers renew every 5 s."""

DROPPED_KEPT = timedelta(hours=1)
"""When a Describer was deleted matters only for the minute of grace."""


def _per_kind() -> dict[Kind, dict[str, int]]:
    return {kind: {} for kind in get_args(Kind)}


@dataclass
class State:
    """The operator's view of its namespace; knows no clients, only what it was shown."""

    pod_template: Json = field(default_factory=dict)
    """The chart's, of all workers."""
    since: datetime = LONG_AGO
    """When this operator began to look."""
    pools: dict[str, Pool] = field(default_factory=dict)
    """By describer."""
    dropped: dict[str, datetime] = field(default_factory=dict)
    """When a Describer was deleted."""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    """By describer: what the last image that ended says of its provider."""
    reported: dict[str, datetime] = field(default_factory=dict)
    """When a Describer's status was last written."""
    backlog: Backlog = field(default_factory=Backlog)
    fleet: Fleet = field(default_factory=Fleet)
    paces: dict[str, Pace] = field(default_factory=dict)
    """By describer."""
    busy: dict[str, str] = field(default_factory=dict)
    """Objects (see key()) with a write of ours under way: nothing is decided about them. The value
    is the pod that an assignment under way is for, else empty; it counts as held already."""
    held_off: dict[str, datetime] = field(default_factory=dict)
    """Objects that are left alone until then: a write failed, or a deletion is yet to be seen."""

    dazed_until: datetime | None = None
    """We slept, or were cut off, until shortly before: what looks late may only be unseen."""

    swept: dict[Kind, int] = field(default_factory=dict)
    """Version of the last list."""

    _versions: dict[Kind, dict[str, int]] = field(default_factory=_per_kind)
    _gone: dict[Kind, dict[str, int]] = field(default_factory=_per_kind)
    """Versions at which objects went, so that nothing read before brings them back."""

    def observe(self, kind: Kind, body: Json, now: datetime) -> bool:
        """Take in an object as the API server showed it; return False if it is no newer than what we have.

        resourceVersions of one kind compare as integers (KEP-5504). An object that can't be read is
        somebody else's, or of another version of ours: it is skipped, and the rest goes on.
        """
        name, version = body["metadata"]["name"], version_of(body)
        if version <= max(self._versions[kind].get(name, 0), self._gone[kind].get(name, 0)):
            return False

        self._versions[kind][name] = version
        try:
            self._put(kind, body, now)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            log.warning("%s %s can't be read and is left alone: %s", kind, name, error)

        return True

    def forget(self, kind: Kind, name: str, version: int, now: datetime) -> None:
        """Take in that an object was gone at `version`; a namesake made since stays."""
        if version < self._versions[kind].get(name, 0):
            return

        self._gone[kind][name] = version
        self._versions[kind].pop(name, None)
        self.held_off.pop(key(kind, name), None)

        match kind:
            case "describers":
                self.pools.pop(name, None)
                self.verdicts.pop(name, None)
                self._reopen(name)
                self._remake(name)
                self.reported.pop(name, None)
                self.dropped[name] = now
            case "imagejobs":
                self.backlog.drop(name, now)
            case "jobs":
                self.fleet.drop_job(name, now)
            case "pods":
                self.fleet.drop_pod(name)
                self.backlog.released.pop(name, None)
                self.backlog.given.pop(name, None)
            case "leases":
                self.fleet.drop_lease(name)

    def sweep(self, kind: Kind, listed: Collection[str], version: int, now: datetime) -> None:
        """Take in that a whole list, read at `version`, has these names: what is absent and older is gone."""
        for name, known in [*self._versions[kind].items()]:
            if name not in listed and known <= version:
                self.forget(kind, name, version, now)

        if kind == "describers":
            self.dropped = {
                gone: when for gone, when in self.dropped.items() if now - when < DROPPED_KEPT
            }
            self.paces = {
                of: pace
                for of, pace in self.paces.items()
                if of in self.pools or of in self.dropped
            }
            self.backlog.forget_demands(self.pools)
        elif kind == "pods":
            self.backlog.given = Counter(
                {pod: n for pod, n in self.backlog.given.items() if pod in listed}
            )

        # Not up to this list: another, read before it, may still be under way.
        before = min(version, self.swept.get(kind, 0))
        self.swept[kind] = version
        self._gone[kind] = {name: gone for name, gone in self._gone[kind].items() if gone >= before}

    def spec_for(self, job: ImageJob) -> DescriberSpec:
        """Return what the ImageJob's Describer says, or the defaults if there is none."""
        pool = self.pools.get(job.spec.describer)
        return pool.spec if pool else DescriberSpec()

    def timeout(self, job: ImageJob) -> timedelta:
        """Return the time for one attempt."""
        return timedelta(seconds=job.spec.timeout_seconds or self.spec_for(job).timeout_seconds)

    def max_attempts(self, job: ImageJob) -> int:
        """Return how many attempts there may be."""
        return job.spec.max_attempts or self.spec_for(job).max_attempts

    def interval(self, describer: str) -> timedelta:
        """Return the time between two of the describer's images that its provider allows."""
        pool = self.pools.get(describer)
        rate = pool.spec.requests_per_minute if pool else 0
        return interval_of(rate, self.fleet.requests_per_image.get(describer, 1))

    def pace(self, describer: str) -> Pace:
        """Return how fast the describer's images may be assigned.

        An operator that begins anew doesn't know when the one before it assigned: it waits an
        interval.
        """
        return self.paces.get(describer) or Pace(self.since + self.interval(describer), LONG_AGO)

    def take_turn(self, describer: str, now: datetime) -> None:
        """Take in that one of the describer's images is assigned."""
        self.paces.setdefault(describer, self.pace(describer)).take(self.interval(describer), now)

    def queued(self, describer: str, now: datetime) -> Iterator[ImageJob]:
        """Yield the describer's ImageJobs that may be assigned now, in the order in which they should be."""
        return self._due(self.backlog.queued(describer), now)

    def suspects(self, describer: str, now: datetime) -> Iterator[ImageJob]:
        """Yield the describer's ImageJobs that may be assigned now, each to a worker of its own."""
        jobs = (job for job in self.backlog.suspects() if job.spec.describer == describer)
        return self._due((job for job in jobs if job.status.phase == "queued"), now)

    def on_trial(self) -> set[str]:
        """Return the workers (pod names) that hold a suspect: they get nothing else."""
        return {
            job.status.worker or self.busy.get(key("imagejobs", job.metadata.name), "")
            for job in self.backlog.suspects()
        } - {""}

    def _due(self, jobs: Iterable[ImageJob], now: datetime) -> Iterator[ImageJob]:
        for job in self.free(jobs, now):
            due = job.status.next_attempt_time
            if due is None or due <= now:
                yield job

    def is_dazed(self, now: datetime) -> bool:
        """Whether we looked away until just now: workers are to be given time to show what they did."""
        return self.dazed_until is not None and now < self.dazed_until

    def free(self, jobs: Iterable[ImageJob], now: datetime) -> Iterator[ImageJob]:
        """Yield those ImageJobs that may be acted upon."""
        return (job for job in jobs if self.is_free(key("imagejobs", job.metadata.name), now))

    def is_free(self, object_key: str, now: datetime) -> bool:
        """Whether the object may be acted upon: no write under way, none failed just now."""
        return object_key not in self.busy and self.held_off.get(object_key, now) <= now

    def hold_off(self, object_key: str, until: datetime) -> None:
        """Don't act on the object before `until`; an expired ImageJob is not even considered earlier."""
        self.held_off[object_key] = until
        kind, _, name = object_key.partition("/")
        if kind == "imagejobs":
            self.backlog.postpone(name, until)

    def knows(self, object_key: str) -> bool:
        """Whether the object is there, as far as was seen."""
        kind, _, name = object_key.partition("/")
        return any(kind == known and name in names for known, names in self._versions.items())

    def is_silent(self, worker: str, now: datetime) -> bool:
        """Whether the worker (pod name) served, and has not been heard of for longer than a hiccup."""
        heard = self.fleet.heard.get(worker)
        return heard is not None and now - heard.last >= LEASE_GRACE

    def _put(self, kind: Kind, body: Json, now: datetime) -> None:
        match kind:
            case "describers":
                self._put_pool(Describer.model_validate(body))
                self._remake(body["metadata"]["name"])
            case "imagejobs":
                self._put_imagejob(ImageJob.model_validate(body), now)
            case "jobs":
                self.fleet.put_job(body, now)
            case "pods":
                self.fleet.put_pod(body)
            case "leases":
                self.fleet.put_lease(body, now)

    def _put_pool(self, describer: Describer) -> None:
        name = describer.metadata.name
        before = self.pools.get(name)
        others = {other: pool.resource for other, pool in self.pools.items()}
        pool = self.pools[name] = Pool.made(describer, self.pod_template, others)

        if before and before.template_hash != pool.template_hash:
            self.fleet.forgive(name)
            self._reopen(name)
            self.verdicts.pop(name, None)

        self.dropped.pop(name, None)

    def _reopen(self, describer: str) -> None:
        """Forget that its provider refused, which was another; what was asked counts still."""
        if pace := self.paces.get(describer):
            self.paces[describer] = Pace(pace.next_turn, LONG_AGO)

    def _remake(self, fallback: str) -> None:
        """Make anew the pools of Describers that name this one, which has come, changed or gone."""
        for pool in [pool for pool in self.pools.values() if pool.spec.fallback == fallback]:
            self._put_pool(pool.resource)

    def _put_imagejob(self, job: ImageJob, now: datetime) -> None:
        before = self.backlog.jobs.get(job.metadata.name)
        self.backlog.put(job, now)
        self.fleet.learn(job, now)
        describer = job.spec.describer
        pace = self.paces.setdefault(describer, self.pace(describer))
        if before is None:
            pace.recall(job, now)

        if not job.finished:
            pace.learn(job, now)
        # Only of what we have seen to end: a list shows ends in no order, and of long ago.
        elif before and not before.finished:
            pace.learn(job, now)
            if job.status.worker and (found := verdict(job)):
                self.verdicts[describer] = found


def key(kind: Kind, name: str) -> str:
    """Return the key of an object in `busy` and `held_off`."""
    return f"{kind}/{name}"


def version_of(body: Json) -> int:
    """Return an object's resourceVersion as the integer that it is (KEP-5504)."""
    return int(body["metadata"]["resourceVersion"])
