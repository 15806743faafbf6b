"""Scale pools: launch missing workers, and retire workers that are not needed."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count, islice
from math import ceil

from ..state.object_versions import ObjectKey
from ..state.state import State
from .actions import Launch, Retire
from .pool_view import PoolView, Worker

DRAIN_SECONDS = 2.0
"""Time within which the pool should be able to describe all unfinished ImageJobs. A launch takes
one second, so a queue that takes less than DRAIN_SECONDS would be almost empty before another
worker could serve."""

LAUNCH_SECONDS = 3.0
"""Overhead of a dedicated Job on a busy node: how long it takes to get its image after its launch,
plus how long it takes to end after the image is finished."""

AGE_SAMPLE = 200
"""Number of attempts in flight whose mean age is determined. More would not change the mean much,
and 500 workers may have thousands."""


def wanted_workers(view: PoolView, for_batches: int = 0) -> int:
    """Return how many workers the pool should have.

    Between minWorkers and maxWorkers, the number is high enough to describe all ImageJobs within
    DRAIN_SECONDS at the measured time per image, and to handle the average load of the last few
    seconds. Within these limits, it does not exceed the number of workers that the current
    ImageJobs and the rate limit can keep busy. `for_batches` is the number of workers that the
    images of ImageBatches need. In shared pools, these workers describe single images as well.
    """
    spec = view.pool.spec
    in_flight = sum(worker.in_flight for worker in view.current)
    wanted = ceil((view.waiting + in_flight) / spec.images_at_once)
    if view.waiting and (busy := _busy_workers(view)) < wanted:
        wanted = max(1, ceil(busy))

    is_dedicated = spec.isolation == "dedicated"
    wanted = wanted + for_batches if is_dedicated else max(wanted, for_batches)
    return min(spec.max_workers, max(spec.min_workers, wanted))


def _busy_workers(view: PoolView) -> float:
    """Return how many workers the load keeps busy within the rate limit."""
    spec, load, interval = view.pool.spec, view.describer.load, view.describer.interval
    seconds = max(load.seconds_per_image, _mean_age(view))

    if spec.isolation == "dedicated":
        return view.rate_limit.useful_concurrency(interval, seconds + LAUNCH_SECONDS)

    to_drain = load.unfinished * seconds / DRAIN_SECONDS
    # Until a worker serves, the average load does not show how much a single worker could handle.
    is_served = any(worker.serving for worker in view.current)
    average = load.average(view.now) if is_served else 0.0
    useful = view.rate_limit.useful_concurrency(interval, seconds)
    return min(useful, max(to_drain, average)) / spec.images_at_once


def _mean_age(view: PoolView) -> float:
    """Return the mean age of some attempts in flight, in seconds.

    An image takes at least this long.
    """
    state = view.state
    jobs = (
        job
        for worker in view.current
        if worker.pod
        for job in state.job_queue.assigned_to(worker.pod.name)
    )
    ages = [
        (view.now - (job.status.attempt_deadline - state.timeout(job))).total_seconds()
        for job in islice(jobs, AGE_SAMPLE)
        if job.status.attempt_deadline
    ]
    return sum(ages) / len(ages) if ages else 0.0


def scale(view: PoolView, wanted: int, job_prefix: str) -> Iterator[Launch | Retire]:
    """Launch missing workers, and retire workers that are idle or don't count toward the pool."""
    yield from _retire(view, wanted)

    if not view.describer.launch_backoff.is_active(view.now):
        yield from _launch(view, wanted - len(view.current), job_prefix)


def _retire(view: PoolView, wanted: int) -> Iterator[Retire]:
    state, now = view.state, view.now
    current = {worker.job.name for worker in view.current}
    free = [
        worker
        for worker in view.workers
        if not worker.job.deleting and state.is_free(ObjectKey("jobs", worker.job.name), now)
    ]
    # A worker whose retirement is in flight or in backoff already counts as retired, so that no
    # other worker is retired in its place.
    surplus = sum(worker.job.name in current for worker in free) - wanted

    for worker in free:
        is_current = worker.job.name in current
        if worker.job.ended or (not is_current and not worker.has_work):
            yield Retire(worker.job.name)
        elif is_current and surplus > 0 and _is_idle(worker, view):
            surplus -= 1
            yield Retire(worker.job.name)


def _launch(view: PoolView, missing: int, job_prefix: str) -> Iterator[Launch]:
    workers, pool = view.state.workers, view.pool
    slots = (f"{job_prefix}-{pool.describer}-{slot}" for slot in count())
    usable = (name for name in slots if name not in workers.taken_names)
    vacant = [name for name in islice(usable, pool.spec.max_workers) if name not in workers.jobs]
    free = [name for name in vacant if view.state.is_free(ObjectKey("jobs", name), view.now)]

    launching = len(vacant) - len(free)
    for name in islice(free, max(0, missing - launching)):
        yield Launch(name, pool)


def _is_idle(worker: Worker, view: PoolView) -> bool:
    if worker.has_work or worker.idle_since is None:
        return False

    return view.now - worker.idle_since >= timedelta(seconds=view.pool.spec.idle_seconds)


def retire_orphans(state: State, workers: Sequence[Worker], now: datetime) -> Iterator[Retire]:
    """Retire workers of a Describer that no longer exists, once they have no ImageJobs."""
    for worker in workers:
        is_done = not worker.has_work or worker.job.ended
        is_free = state.is_free(ObjectKey("jobs", worker.job.name), now)
        if is_done and is_free and not worker.job.deleting:
            yield Retire(worker.job.name)
