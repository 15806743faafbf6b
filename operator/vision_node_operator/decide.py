"""decide(state, now): what to do about what is. Pure: no clock, no client, no change of the state."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice

from vision_node_contract.imagejob import ImageJob

from .actions import Action, Assign, Expire
from .scaling import retire_strangers, scale
from .settings import Pool, Settings
from .settle import settle_processing, settle_queued
from .state import State, Worker, key

EXPIRE_AT_ONCE = 16
"""Deletions under way: thousands that expire together must not hold up assignments."""


def decide(state: State, settings: Settings, now: datetime) -> list[Action]:
    """Return the actions that lead from `state` towards what is wanted, as of `now` (UTC)."""
    workers = state.workers(now)
    return [
        *settle_processing(state, now),
        *settle_queued(state, settings, now),
        *(
            action
            for pool in settings.pools.values()
            for action in _run_pool(state, pool, settings, workers, now)
        ),
        *retire_strangers(state, settings, workers, now),
        *_expire(state, now),
    ]


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
    yield from scale(state, pool, settings, mine, waiting, now)


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


def _expire(state: State, now: datetime) -> Iterator[Expire]:
    for done in islice(state.backlog.expired(now), EXPIRE_AT_ONCE):
        if state.is_free(key("imagejobs", done.name), now):
            yield Expire(done.name, done.version)
