"""Assign each queued ImageJob to the worker that has the fewest ImageJobs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, islice

from vision_node_contract.models.imagejob import ImageJob

from .actions import Assign
from .pool_view import PoolView, Worker


def assign(view: PoolView, reserved: str | None = None) -> tuple[list[Assign], PoolView]:
    """Return the assignments that the workers and the rate limit allow, and the resulting view.

    The `reserved` worker (pod name) gets none, because it is to take a shard that needs a worker to
    itself.
    """
    state, pool = view.state, view.pool
    queued = state.queued(pool.describer, view.now)
    others = (job for job in queued if not job.status.suspect)
    suspects = state.suspects(pool.describer, view.now)
    exclusive = view.state.workers_with_suspects()
    usable = _usable(view, reserved)
    found = _assignments(view, usable, others, suspects, exclusive)
    assignments = list(islice(found, _allowance(view)))

    # Counting stops at the capacity of the whole pool, because a longer queue does not need more
    # workers.
    waiting = pool.spec.max_workers * pool.spec.images_at_once
    if not _is_longer(view, waiting + len(assignments)):
        waiting = sum(1 for _ in islice(chain(others, suspects), waiting))

    assigned = Counter(action.worker for action in assignments)
    return assignments, view.after(assigned, waiting, frozenset(exclusive))


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
        worker.in_flight + min(worker.shard_images, view.pool.spec.images_at_once)
        for worker in view.workers
        if not (worker.cordoned or worker.silent)
    )
    return view.rate_limit.allowance(view.describer.interval, processing, view.now)


def _usable(view: PoolView, reserved: str | None) -> dict[str, Worker]:
    """Return the workers that may get ImageJobs, by pod name."""
    return {
        worker.pod.name: worker
        for worker in view.serving
        if worker.pod
        and worker.pod.name != reserved
        and not worker.has_alone_shard
        and view.capacity(worker) is not None
        and view.is_up_to_date(worker)
    }


def _assignments(
    view: PoolView,
    usable: Mapping[str, Worker],
    jobs: Iterator[ImageJob],
    suspects: Iterator[ImageJob],
    exclusive: set[str],
) -> Iterator[Assign]:
    """Yield assignments while workers have capacity.

    A suspect is an ImageJob that may have caused a worker to end. It gets a worker to itself,
    and only one suspect is tried at a time. If all workers have ImageJobs, the worker with the
    fewest gets no new ones, so that it becomes free for the suspect. It is added to `exclusive`,
    the workers that have a suspect. The only worker does not wait for the end of a shard in this
    way; when the shard has ended, it becomes free for the suspect.
    """
    in_flight = {name: worker.in_flight for name, worker in usable.items()}
    can_wait = any(not worker.has_shard for worker in usable.values()) or len(usable) > 1
    if can_wait and not (exclusive & usable.keys()) and (suspect := next(suspects, None)):
        busy = {name: worker.in_flight + worker.has_shard for name, worker in usable.items()}
        chosen = min(usable, key=lambda name: (busy[name], name))
        exclusive.add(chosen)
        if not busy[chosen]:
            yield Assign(suspect, chosen, view.state.timeout(suspect))

    free_slots = {
        name: view.capacity(worker) or 0 for name, worker in usable.items() if name not in exclusive
    }
    for job in islice(jobs, sum(free_slots.values())):
        available = (name for name, free in free_slots.items() if free)
        name = min(available, key=in_flight.__getitem__)
        in_flight[name] += 1
        free_slots[name] -= 1
        yield Assign(job, name, view.state.timeout(job))
