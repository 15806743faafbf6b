"""decide(state, now): what to do about what is. Pure: no clock, no client, no change of the state."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain, islice

from vision_node_contract.models.imagejob import ImageJob

from ..settings import Settings
from ..state.pools import Pool
from ..state.state import State, key
from .actions import Action, Announce, Assign, Expire
from .conditions import report
from .job_lifecycle import cordon_failing, settle_processing, settle_queued
from .scaling import is_current, retire_strangers, room, scale, wanted_workers
from .worker_view import Worker, workers_of

EXPIRE_AT_ONCE = 16
"""Maximum deletions in flight, so that thousands that expire together do not delay assignments."""

ANNOUNCE_AT_ONCE = 4
"""Nor must Events of thousands that fail."""


def decide(state: State, settings: Settings, now: datetime) -> list[Action]:
    """Return the actions that lead from `state` towards what is wanted, as of `now` (UTC)."""
    workers = workers_of(state, now)
    return [
        *cordon_failing(state),
        *settle_processing(state, now),
        *settle_queued(state, settings, now),
        *(
            action
            for pool in state.pools.values()
            for action in _run_pool(state, pool, settings, workers, now)
        ),
        *retire_strangers(state, workers, now),
        *_expire(state, now),
        *_announce(state),
    ]


def _run_pool(
    state: State, pool: Pool, settings: Settings, workers: Sequence[Worker], now: datetime
) -> Iterator[Action]:
    mine = [w for w in workers if w.job.describer == pool.describer]
    queued = (job for job in state.queued(pool.describer, now) if not job.status.suspect)
    suspects = state.suspects(pool.describer, now)
    pace, interval = state.pace(pool.describer), state.interval(pool.describer)
    # What hangs with a worker that is cordoned or silent asks nobody, and must not keep the others
    # waiting.
    in_work = sum(
        w.held for w in mine if not (w.cordoned or (w.pod and state.is_silent(w.pod.name, now)))
    )
    allowance = pace.allowance(interval, in_work, now)
    assignments = list(islice(_assign(state, queued, suspects, mine, pool), allowance))
    yield from assignments
    new = Counter(a.worker for a in assignments)
    mine = [_with(w, new[w.pod.name]) if w.pod else w for w in mine]
    current = [w for w in mine if is_current(w, pool, now)]
    # More than the whole pool could hold need not be counted to know that all of it is wanted.
    waiting = sum(
        1 for _ in islice(chain(queued, suspects), pool.spec.max_workers * pool.spec.images_at_once)
    )
    wanted = wanted_workers(state, pool, current, waiting, now)
    yield from scale(state, pool, settings, mine, current, wanted, now)
    yield from report(state, pool, mine, wanted, now)


def _with(worker: Worker, more: int) -> Worker:
    return replace(worker, held=worker.held + more, given=worker.given + more) if more else worker


def _assign(
    state: State,
    jobs: Iterator[ImageJob],
    suspects: Iterator[ImageJob],
    workers: Sequence[Worker],
    pool: Pool,
) -> Iterator[Assign]:
    """Give each ImageJob to the worker that holds least, so that none waits behind another.

    A suspect gets a worker to itself, one suspect at a time: the one that holds least is kept free
    for it.
    """
    useful = [w for w in workers if w.serving and w.job.template == pool.template_hash]
    rooms = {w.pod.name: n for w in useful if w.pod and (n := room(w, pool)) is not None}
    held = {w.pod.name: w.held for w in useful if w.pod}
    trial = state.on_trial() & rooms.keys()

    if rooms and not trial and (suspect := next(suspects, None)):
        trial = {min(rooms, key=lambda name: (held[name], name))}
        yield from (
            Assign(suspect, name, state.timeout(suspect)) for name in trial if not held[name]
        )

    free = {name: n for name, n in rooms.items() if name not in trial}
    for job in islice(jobs, sum(free.values())):
        worker = min((name for name, n in free.items() if n), key=held.__getitem__)
        held[worker] += 1
        free[worker] -= 1
        yield Assign(job, worker, state.timeout(job))


def _expire(state: State, now: datetime) -> Iterator[Expire]:
    """Delete expired ImageJobs. Deletions in flight count toward the limit; those in backoff do not."""
    under_way = 0
    for done in state.backlog.expired(now):
        object_key = key("imagejobs", done.name)
        if object_key in state.busy:
            under_way += 1
        elif state.is_free(object_key, now):
            under_way += 1
            yield Expire(done.name, done.version)

        if under_way >= EXPIRE_AT_ONCE:
            return


def _announce(state: State) -> Iterator[Announce]:
    if not state.backlog.failed:
        return
    under_way = sum(name.startswith("events/") for name in state.busy)
    for job in islice(state.backlog.failed.values(), max(0, ANNOUNCE_AT_ONCE - under_way)):
        yield Announce(job)
