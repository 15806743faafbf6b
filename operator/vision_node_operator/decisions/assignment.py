"""Assign each queued ImageJob to the worker that has the fewest ImageJobs."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

from vision_node_contract.models.imagejob import ImageJob

from .actions import Assign
from .pool_view import PoolView


def assign(view: PoolView) -> tuple[list[Assign], PoolView]:
    """Return the assignments that the workers and the rate limit allow, and the resulting view."""
    state, pool = view.state, view.pool
    queued = state.queued(pool.describer, view.now)
    others = (job for job in queued if not job.status.suspect)
    suspects = state.suspects(pool.describer, view.now)
    assignments = list(islice(_assignments(view, others, suspects), _allowance(view)))

    # Counting stops at the capacity of the whole pool, because a longer queue does not need more
    # workers.
    waiting = pool.spec.max_workers * pool.spec.images_at_once
    if not _is_longer(view, waiting + len(assignments)):
        waiting = sum(1 for _ in islice(chain(others, suspects), waiting))

    return assignments, view.after(Counter(action.worker for action in assignments), waiting)


def _is_longer(view: PoolView, length: int) -> bool:
    """Return whether certainly more than `length` ImageJobs can be assigned. Don't count them."""
    queue, pending = view.state.job_queue, len(view.state.pending_writes)
    not_free = pending + len(view.state.unconfirmed) + queue.suspect_total
    return queue.queued_total(view.pool.describer) > length + not_free


def _allowance(view: PoolView) -> int | None:
    """Return how many ImageJobs may be assigned under the rate limit; None means no limit."""
    # A cordoned or silent worker is considered hung. It sends no requests, so its ImageJobs must
    # not make other ImageJobs wait.
    processing = sum(
        worker.in_flight for worker in view.workers if not (worker.cordoned or worker.silent)
    )
    return view.rate_limit.allowance(view.describer.interval, processing, view.now)


def _assignments(
    view: PoolView, jobs: Iterator[ImageJob], suspects: Iterator[ImageJob]
) -> Iterator[Assign]:
    """Yield assignments while workers have capacity.

    A suspect is an ImageJob that may have caused a worker to end. It gets a worker to itself,
    and only one suspect is tried at a time. If all workers have ImageJobs, the worker with the
    fewest gets no new ones, so that it becomes free for the suspect.
    """
    in_flight: dict[str, int] = {}
    capacity: dict[str, int] = {}
    for worker in view.serving:
        free = view.capacity(worker)
        if worker.pod and free is not None and view.is_up_to_date(worker):
            in_flight[worker.pod.name] = worker.in_flight
            capacity[worker.pod.name] = free

    reserved = view.state.workers_with_suspects() & capacity.keys()
    if capacity and not reserved and (suspect := next(suspects, None)):
        chosen = min(capacity, key=lambda name: (in_flight[name], name))
        reserved = {chosen}
        if not in_flight[chosen]:
            yield Assign(suspect, chosen, view.state.timeout(suspect))

    free_slots = {name: free for name, free in capacity.items() if name not in reserved}
    for job in islice(jobs, sum(free_slots.values())):
        available = (name for name, free in free_slots.items() if free)
        name = min(available, key=in_flight.__getitem__)
        in_flight[name] += 1
        free_slots[name] -= 1
        yield Assign(job, name, view.state.timeout(job))
