"""How many workers a pool has: launch what the backlog wants, retire what is idle, outdated or gone."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from math import ceil

from .actions import Launch, Retire
from .fleet import STARTING
from .settings import Pool, Settings
from .state import State, Worker, key

UNRESPONSIVE = timedelta(minutes=1)
"""A worker that holds nothing and has been silent for so long is replaced."""


def scale(
    state: State, pool: Pool, settings: Settings, workers: list[Worker], waiting: int, now: datetime
) -> Iterator[Launch | Retire]:
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


def retire_strangers(
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
