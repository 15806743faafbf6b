"""How many workers a pool has: launch what is asked for, retire what is idle, outdated, used up or gone."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count, islice
from math import ceil

from ..settings import Settings
from ..state.pools import Pool
from ..state.state import State, key
from ..state.worker_registry import STARTING
from .actions import Launch, Retire
from .worker_view import Worker

UNRESPONSIVE = timedelta(minutes=1)
"""A worker that holds nothing and has been silent for so long is replaced."""

DRAIN_SECONDS = 2.0
"""Workers are wanted so that what waits is described within this time. A launch takes one second:
what is worked off sooner would be over before a further worker serves."""


LAUNCH_SECONDS = 3.0
"""From a dedicated Job's launch to its image, and from that image's end to the Job's, on a busy
node."""


def wanted_workers(
    state: State, pool: Pool, current: Sequence[Worker], waiting: int, now: datetime
) -> int:
    """Return how many workers the pool should have, when `waiting` ImageJobs found no room.

    As many as work off all there is within DRAIN_SECONDS at the measured time per image, or as are
    busy on the average of the last seconds; not more than there are images for, or than the
    provider lets work.
    """
    spec = pool.spec
    most = ceil((waiting + sum(worker.held for worker in current)) / spec.images_at_once)
    if waiting and (busy := _kept_busy(state, pool, current, now)) < most:
        most = max(1, ceil(busy))
    return min(spec.max_workers, max(spec.min_workers, most))


def _kept_busy(state: State, pool: Pool, current: Sequence[Worker], now: datetime) -> float:
    """Return how many workers the load and the provider's pace keep busy."""
    demand, at_once = state.backlog.demand(pool.describer), pool.spec.images_at_once
    seconds = max(demand.seconds, _mean_age(state, current, now))
    pace, interval = state.pace(pool.describer), state.interval(pool.describer)
    if pool.spec.isolation == "dedicated":
        return pace.useful(interval, seconds + LAUNCH_SECONDS)

    drain = demand.unfinished * seconds / DRAIN_SECONDS
    # While none serves yet, a level says nothing of what one could do.
    level = demand.level(now) if any(worker.serving for worker in current) else 0.0
    return min(pace.useful(interval, seconds), max(drain, level)) / at_once


def _mean_age(state: State, workers: Sequence[Worker], now: datetime) -> float:
    """Return for how many seconds the ImageJobs in work have been so: a bound, before one has ended."""
    held = [job for w in workers if w.pod for job in state.backlog.held_by(w.pod.name)]
    ends = [(job.status.attempt_deadline, state.timeout(job)) for job in held]
    ages = [(now - (deadline - timeout)).total_seconds() for deadline, timeout in ends if deadline]
    return sum(ages) / len(ages) if ages else 0.0


def scale(
    state: State,
    pool: Pool,
    settings: Settings,
    workers: Sequence[Worker],
    current: Sequence[Worker],
    wanted: int,
    now: datetime,
) -> Iterator[Launch | Retire]:
    """Launch what is missing; retire what has ended, is outdated, used up, silent or idle for long."""
    counted = {worker.job.name for worker in current}
    free = [
        w for w in workers if state.is_free(key("jobs", w.job.name), now) and not w.job.deleting
    ]
    # A worker whose retirement is in flight or in backoff already counts as retired: retire no
    # other instead.
    spare = len(counted & {worker.job.name for worker in free}) - wanted

    for worker in free:
        if worker.job.ended or (worker.job.name not in counted and worker.held == 0):
            yield Retire(worker.job.name)
        elif worker.job.name in counted and spare > 0 and _is_idle(worker, pool, now):
            spare -= 1
            yield Retire(worker.job.name)

    if not state.fleet.is_launch_held_off(pool.describer, now):
        yield from _launch(state, pool, settings, wanted - len(current), now)


def _launch(
    state: State, pool: Pool, settings: Settings, missing: int, now: datetime
) -> Iterator[Launch]:
    slots = (f"{settings.job_prefix}-{pool.describer}-{slot}" for slot in count())
    names = islice((name for name in slots if name not in state.fleet.taken), pool.spec.max_workers)
    vacant = [name for name in names if name not in state.fleet.jobs]
    free = [name for name in vacant if state.is_free(key("jobs", name), now)]
    launching = len(vacant) - len(free)
    for name in islice(free, max(0, missing - launching)):
        yield Launch(name, pool)


def is_current(worker: Worker, pool: Pool, now: datetime) -> bool:
    """Whether the worker counts towards the pool: of its template, to be given more, not lost hope of."""
    over = worker.job.ended or worker.job.deleting or worker.cordoned or room(worker, pool) is None
    return worker.job.template == pool.template_hash and not over and not _is_silent(worker, now)


def room(worker: Worker, pool: Pool) -> int | None:
    """Return how many ImageJobs the worker can take now; None: it was given all that it may ever have."""
    free = max(0, pool.spec.images_at_once - worker.held)
    limit = pool.spec.images_per_worker
    if not limit:
        return free
    return min(free, limit - worker.given) if worker.given < limit else None


def _is_silent(worker: Worker, now: datetime) -> bool:
    """Whether the worker was heard of too long ago, or has not begun to serve for too long."""
    if worker.heard:
        return now - worker.heard > UNRESPONSIVE
    return now - worker.job.created > STARTING


def _is_idle(worker: Worker, pool: Pool, now: datetime) -> bool:
    since = worker.idle_since
    idle = timedelta(seconds=pool.spec.idle_seconds)
    return worker.held == 0 and since is not None and now - since >= idle


def retire_strangers(state: State, workers: Sequence[Worker], now: datetime) -> Iterator[Retire]:
    """Retire workers of describers that are no more."""
    for worker in workers:
        stays = worker.job.describer in state.pools or worker.job.deleting
        if (
            not stays
            and (worker.held == 0 or worker.job.ended)
            and state.is_free(key("jobs", worker.job.name), now)
        ):
            yield Retire(worker.job.name)
