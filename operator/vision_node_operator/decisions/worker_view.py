"""Workers as decisions need to see them: a describer Job with its pod and Lease, and what it holds."""

from dataclasses import dataclass
from datetime import datetime

from ..state.state import State, key
from ..state.worker_registry import DescriberJob, Pod


@dataclass(frozen=True, slots=True)
class Worker:
    """A describer Job and what it takes to assign to it."""

    job: DescriberJob
    pod: Pod | None
    serving: bool
    held: int
    given: int
    """ImageJobs that it was assigned, those under way among them."""
    idle_since: datetime | None
    """Since when it holds nothing; None if it never served."""
    heard: datetime | None
    cordoned: bool


def workers_of(state: State, now: datetime) -> list[Worker]:
    """Return all workers, by Job name."""
    jobs = sorted(state.fleet.jobs.values(), key=lambda job: job.name)
    return [_worker(state, job, state.fleet.pod_of(job), now) for job in jobs]


def _worker(state: State, job: DescriberJob, pod: Pod | None, now: datetime) -> Worker:
    name = pod.name if pod else ""
    heard = state.fleet.heard.get(name)
    cordoned = name in state.fleet.cordoned
    ending = job.deleting or job.ended or pod is None or pod.deleting or not pod.alive
    under_way = sum(pod_name == name for pod_name in state.busy.values() if name)
    # A Job that is being deleted, or whose deletion is yet to be seen, takes no more.
    usable = not cordoned and not ending and state.is_free(key("jobs", job.name), now)

    return Worker(
        job=job,
        pod=pod,
        serving=usable and heard is not None and not state.is_silent(name, now),
        held=state.backlog.held(name) + under_way,
        given=state.backlog.given[name] + under_way,
        idle_since=max(heard.first, state.backlog.released.get(name, heard.first))
        if heard
        else None,
        heard=(now if state.is_dazed(now) else heard.last) if heard else None,
        cordoned=cordoned,
    )
