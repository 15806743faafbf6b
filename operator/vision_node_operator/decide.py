"""decide(state, now): what to do about what is. Pure: no clock, no client, no change of the state."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from math import ceil

from vision_node_contract.imagejob import ImageJob
from vision_node_contract.reasons import Reason

from .actions import Action, Assign, Expire, Fail, Launch, Requeue, Retire
from .settings import Pool, Settings
from .state import State, Worker, pool_key

DESCRIBER_GRACE = timedelta(minutes=1)
"""A describer that is created right after its first ImageJob is still found."""

RETRY_SECONDS = (1.0, 60.0)
"""First and longest wait before the next attempt, doubling: a provider's hiccup passes, an outage is
not hammered."""


def decide(state: State, settings: Settings, now: datetime) -> list[Action]:
    """Return the actions that lead from `state` towards what is wanted, as of `now` (UTC)."""
    return [
        *_settle_processing(state, now),
        *_settle_queued(state, settings, now),
        *(action for pool in settings.pools.values() for action in _run_pool(state, pool, settings, now)),
        *_expire(state, now),
    ]


def _settle_processing(state: State, now: datetime) -> Iterator[Action]:
    for job in state.processing():
        if state.is_free(job.metadata.name, now):
            action = _settle(job, state, now)
            if action:
                yield action


def _settle(job: ImageJob, state: State, now: datetime) -> Action | None:
    """Decide about one ImageJob in processing: cancelled, failed, lost, late, or all is well."""
    status = job.status
    if job.spec.cancel:
        return _cancel(job)
    if status.error:
        return _again_or_fail(job, _reason(status.error.reason), status.error.message, now)
    pod = state.pods.get(status.worker or "")
    if pod is None or not pod.alive:
        return _again_or_fail(job, Reason.WORKER_LOST, f"worker {status.worker} is gone", now)
    if status.attempt_deadline and status.attempt_deadline <= now:
        late = f"worker {pod.name} did not finish within {job.spec.timeout_seconds} s"
        return _again_or_fail(job, Reason.ATTEMPT_TIMED_OUT, late, now)
    return None


def _again_or_fail(job: ImageJob, reason: Reason, message: str, now: datetime) -> Action:
    attempts = job.status.attempts
    if attempts >= job.spec.max_attempts:
        total = f"{attempts} of {job.spec.max_attempts} attempts failed; the last: {reason}: {message}"
        return Fail(job, Reason.ATTEMPTS_EXHAUSTED, total)
    first, longest = RETRY_SECONDS
    wait = timedelta(seconds=min(longest, first * 2 ** (attempts - 1)))
    return Requeue(job, reason, message, next_attempt=now + wait)


def _settle_queued(state: State, settings: Settings, now: datetime) -> Iterator[Action]:
    for job in state.cancelled():
        if state.is_free(job.metadata.name, now):
            yield _cancel(job)
    known = ", ".join(sorted(settings.pools)) or "none"
    for describer in state.describers_wanted():
        if describer in settings.pools:
            continue
        message = f"no describer is named {describer}; there are: {known}"
        for job in state.queued(describer, now):
            created = job.metadata.creation_timestamp
            if created and now - created > DESCRIBER_GRACE:
                yield Fail(job, Reason.DESCRIBER_NOT_FOUND, message)


def _run_pool(state: State, pool: Pool, settings: Settings, now: datetime) -> Iterator[Action]:
    workers = state.workers(pool.describer, now)
    queued = state.queued(pool.describer, now)
    assignments = list(_assign(queued, workers, pool, now))
    yield from assignments
    new = Counter(a.worker for a in assignments)
    workers = [replace(w, held=w.held + new[w.pod.name]) if w.pod else w for w in workers]
    # More than the whole pool could hold need not be counted to know that all of it is wanted.
    waiting = sum(1 for _ in islice(queued, pool.max_workers * pool.concurrency))
    yield from _scale(state, pool, settings, workers, waiting, now)


def _assign(jobs: Iterator[ImageJob], workers: list[Worker], pool: Pool, now: datetime) -> Iterator[Assign]:
    """Give each ImageJob to the worker that holds least, so that none waits behind another."""
    held = {
        w.pod.name: w.held for w in workers if w.pod and w.serving and w.job.template == pool.template_hash
    }
    slots = sum(max(0, pool.concurrency - n) for n in held.values())
    for job in islice(jobs, slots):
        worker = min(held, key=lambda name: held[name])
        held[worker] += 1
        yield Assign(job, worker, deadline=now + timedelta(seconds=job.spec.timeout_seconds))


def _scale(
    state: State, pool: Pool, settings: Settings, workers: list[Worker], waiting: int, now: datetime
) -> Iterator[Action]:
    """Launch what the backlog wants, retire what has ended, is outdated or has been idle for long."""
    alive = [w for w in workers if not (w.job.ended or w.job.deleting)]
    current = [w for w in alive if w.job.template == pool.template_hash]
    held = sum(w.held for w in current)
    wanted = min(pool.max_workers, max(pool.min_workers, ceil((waiting + held) / pool.concurrency)))
    yield from _retire(state, pool, workers, len(current) - wanted, now)
    if state.is_free(pool_key(pool.describer), now):
        yield from _launch(state, pool, settings, wanted - len(current))


def _launch(state: State, pool: Pool, settings: Settings, missing: int) -> Iterator[Launch]:
    names = [f"{settings.job_prefix}-{pool.describer}-{slot}" for slot in range(pool.max_workers)]
    vacant = [name for name in names if name not in state.describer_jobs]
    launching = sum(1 for name in vacant if name in state.busy)
    free = (name for name in vacant if name not in state.busy)
    for name in islice(free, max(0, missing - launching)):
        yield Launch(name, pool)


def _retire(state: State, pool: Pool, workers: list[Worker], spare: int, now: datetime) -> Iterator[Retire]:
    for worker in workers:
        if worker.job.deleting or not state.is_free(worker.job.name, now):
            continue
        outdated = worker.job.template != pool.template_hash
        if worker.job.ended or (outdated and worker.held == 0):
            yield Retire(worker.job.name)
        elif not outdated and spare > 0 and _idle(worker, pool, now):
            spare -= 1
            yield Retire(worker.job.name)


def _idle(worker: Worker, pool: Pool, now: datetime) -> bool:
    since = worker.idle_since
    return worker.held == 0 and since is not None and now - since >= timedelta(seconds=pool.idle_seconds)


def _expire(state: State, now: datetime) -> Iterator[Action]:
    for done in state.expired(now):
        if state.is_free(done.name, now):
            yield Expire(done.name, done.version)


def _cancel(job: ImageJob) -> Fail:
    return Fail(job, Reason.CANCELLED, "cancelled by its spec; submit the image again to have it described")


def _reason(word: str) -> Reason:
    """Return the worker's reason; one that a newer worker knows and we don't is just a failure."""
    try:
        return Reason(word)
    except ValueError:
        return Reason.DESCRIBER_FAILED
