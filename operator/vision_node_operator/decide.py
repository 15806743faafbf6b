"""decide(state, now): what to do about what is. Pure: no clock, no client, no change of the state."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from math import ceil

from vision_node_contract.imagejob import ImageJob
from vision_node_contract.reasons import Reason

from .actions import Action, Assign, Cordon, Expire, Fail, Launch, Requeue, Retire
from .fleet import STARTING
from .settings import Pool, Settings
from .state import State, Worker, key

DESCRIBER_GRACE = timedelta(minutes=1)
"""A describer that is created right after its first ImageJob is still found."""

RETRY_SECONDS = (1.0, 60.0)
"""First and longest wait before the next attempt, doubling: a provider's hiccup passes, an outage is
not hammered."""

UNRESPONSIVE = timedelta(minutes=1)
"""A worker that holds nothing and has been silent for so long is replaced."""

EXPIRE_AT_ONCE = 16
"""Deletions under way: thousands that expire together must not hold up assignments."""


def decide(state: State, settings: Settings, now: datetime) -> list[Action]:
    """Return the actions that lead from `state` towards what is wanted, as of `now` (UTC)."""
    workers = state.workers(now)
    return [
        *_settle_processing(state, now),
        *_settle_queued(state, settings, now),
        *(
            action
            for pool in settings.pools.values()
            for action in _run_pool(state, pool, settings, workers, now)
        ),
        *_retire_strangers(state, settings, workers, now),
        *_expire(state, now),
    ]


def _settle_processing(state: State, now: datetime) -> Iterator[Action]:
    for job in state.free(state.backlog.processing(), now):
        yield from _settle(job, state, now)


def _settle(job: ImageJob, state: State, now: datetime) -> Iterator[Action]:
    """Decide about one ImageJob in processing: cancelled, failed, lost, late, or all is well."""
    status, worker = job.status, job.status.worker or ""
    pod = state.fleet.pods.get(worker)
    if job.spec.cancel:
        yield _cancel(job)
    elif status.error:
        yield _again_or_fail(job, _reason(status.error.reason), status.error.message, now)
    elif pod is None or not pod.alive:
        yield _again_or_fail(job, Reason.WORKER_LOST, f"worker {worker} is gone", now)
    elif status.attempt_deadline and status.attempt_deadline <= now:
        late = f"worker {worker} did not finish within {job.spec.timeout_seconds} s"
        yield Cordon(worker)
        yield _again_or_fail(job, Reason.ATTEMPT_TIMED_OUT, late, now)


def _again_or_fail(job: ImageJob, reason: Reason, message: str, now: datetime) -> Action:
    attempts = job.status.attempts
    if attempts >= job.spec.max_attempts:
        total = f"{attempts} of {job.spec.max_attempts} attempts failed; the last: {reason}: {message}"
        return Fail(job, Reason.ATTEMPTS_EXHAUSTED, total)
    first, longest = RETRY_SECONDS
    wait = timedelta(seconds=min(longest, first * 2 ** (attempts - 1)))
    return Requeue(job, reason, message, next_attempt=now + wait)


def _settle_queued(state: State, settings: Settings, now: datetime) -> Iterator[Action]:
    for job in state.free(state.backlog.cancelled(), now):
        yield _cancel(job)
    known = ", ".join(sorted(settings.pools)) or "none"
    for describer in state.backlog.describers():
        if describer in settings.pools:
            continue
        message = f"no describer is named {describer}; there are: {known}"
        for job in state.queued(describer, now):
            created = job.metadata.creation_timestamp
            if created and now - created > DESCRIBER_GRACE:
                yield Fail(job, Reason.DESCRIBER_NOT_FOUND, message)


def _run_pool(
    state: State, pool: Pool, settings: Settings, workers: list[Worker], now: datetime
) -> Iterator[Action]:
    mine = [w for w in workers if w.job.describer == pool.describer]
    queued = state.queued(pool.describer, now)
    assignments = list(_assign(queued, mine, pool))
    yield from assignments
    new = Counter(a.worker for a in assignments)
    mine = [replace(w, held=w.held + new[w.pod.name]) if w.pod else w for w in mine]
    # More than the whole pool could hold need not be counted to know that all of it is wanted.
    waiting = sum(1 for _ in islice(queued, pool.max_workers * pool.concurrency))
    yield from _scale(state, pool, settings, mine, waiting, now)


def _assign(jobs: Iterator[ImageJob], workers: list[Worker], pool: Pool) -> Iterator[Assign]:
    """Give each ImageJob to the worker that holds least, so that none waits behind another."""
    held = {
        w.pod.name: w.held
        for w in workers
        if w.pod and w.serving and w.job.template == pool.template_hash and w.held < pool.concurrency
    }
    slots = sum(pool.concurrency - n for n in held.values())
    for job in islice(jobs, slots):
        worker = min(held, key=lambda name: held[name])
        held[worker] += 1
        yield Assign(job, worker)


def _scale(
    state: State, pool: Pool, settings: Settings, workers: list[Worker], waiting: int, now: datetime
) -> Iterator[Action]:
    """Launch what the backlog wants; retire what has ended, is outdated, silent or idle for long."""
    current = [w for w in workers if _is_current(w, pool, now)]
    held = sum(w.held for w in current)
    wanted = min(pool.max_workers, max(pool.min_workers, ceil((waiting + held) / pool.concurrency)))
    spare = len(current) - wanted
    for worker in workers:
        if not state.is_free(key("jobs", worker.job.name), now) or worker.job.deleting:
            continue
        if worker.job.ended or (worker not in current and worker.held == 0):
            yield Retire(worker.job.name)
        elif worker in current and spare > 0 and _is_idle(worker, pool, now):
            spare -= 1
            yield Retire(worker.job.name)
    if not state.fleet.is_launch_held_off(pool.describer, now):
        yield from _launch(state, pool, settings, wanted - len(current), now)


def _launch(state: State, pool: Pool, settings: Settings, missing: int, now: datetime) -> Iterator[Launch]:
    names = [f"{settings.job_prefix}-{pool.describer}-{slot}" for slot in range(pool.max_workers)]
    vacant = [name for name in names if name not in state.fleet.jobs]
    free = [name for name in vacant if state.is_free(key("jobs", name), now)]
    launching = len(vacant) - len(free)
    for name in islice(free, max(0, missing - launching)):
        yield Launch(name, pool)


def _is_current(worker: Worker, pool: Pool, now: datetime) -> bool:
    """Whether the worker counts towards the pool: made from its template, and not lost hope of."""
    over = worker.job.ended or worker.job.deleting or worker.cordoned
    return worker.job.template == pool.template_hash and not over and not _is_silent(worker, now)


def _is_silent(worker: Worker, now: datetime) -> bool:
    """Whether the worker was heard of too long ago, or has not begun to serve for too long."""
    if worker.heard:
        return now - worker.heard > UNRESPONSIVE
    return now - worker.job.created > STARTING


def _is_idle(worker: Worker, pool: Pool, now: datetime) -> bool:
    since = worker.idle_since
    idle = timedelta(seconds=pool.idle_seconds)
    return worker.held == 0 and since is not None and now - since >= idle


def _retire_strangers(
    state: State, settings: Settings, workers: list[Worker], now: datetime
) -> Iterator[Retire]:
    """Retire workers of describers that are no more."""
    for worker in workers:
        stays = worker.job.describer in settings.pools or worker.job.deleting
        if (
            not stays
            and (worker.held == 0 or worker.job.ended)
            and state.is_free(key("jobs", worker.job.name), now)
        ):
            yield Retire(worker.job.name)


def _expire(state: State, now: datetime) -> Iterator[Expire]:
    for done in islice(state.backlog.expired(now), EXPIRE_AT_ONCE):
        if state.is_free(key("imagejobs", done.name), now):
            yield Expire(done.name, done.version)


def _cancel(job: ImageJob) -> Fail:
    return Fail(job, Reason.CANCELLED, "cancelled by its spec; submit the image again to have it described")


def _reason(word: str) -> Reason:
    """Return the worker's reason; one that a newer worker knows and we don't is just a failure."""
    try:
        return Reason(word)
    except ValueError:
        return Reason.DESCRIBER_FAILED
