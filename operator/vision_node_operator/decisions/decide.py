"""Decide what to do next. decide() is pure: it has no clock and no client, and changes nothing."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, islice

from ..settings import Settings
from ..state.pools.pool import Pool
from ..state.state import State
from .actions import Action, EmitEvent, Write
from .assignment import assign
from .background import (
    ATTEMPTS,
    CANCELLED,
    EVENTS,
    EXPIRY,
    SHARDS,
    UNKNOWN,
    queue_source,
    share,
    take_turns,
)
from .batches.batch_view import BatchView, views
from .batches.cleanup import delete_orphaned, delete_shards, expire_batches
from .batches.counting import advance_batches
from .batches.creation import create_shards
from .batches.dispatch import assign_shards, reserve
from .batches.load import wanted_for_batches
from .batches.losses import cordon_overdue_shards, end_or_retry_shards
from .batches.probing import unknown_describer, waiting_reason
from .conditions import update_status
from .expiry import expire
from .job_lifecycle import (
    cordon_failing,
    cordon_overdue,
    end_or_retry_processing,
    fail_cancelled,
    fail_unknown_describer,
    fail_unserved,
)
from .pool_view import PoolView, workers_by_describer
from .scaling import retire_orphans, scale, wanted_workers

MAX_EVENTS = 4
"""Maximum number of failure Events in flight. Without a limit, a mass failure would delay
assignments."""


def decide(state: State, settings: Settings, now: datetime) -> list[Action]:
    """Return the actions that, at `now` (UTC), bring the namespace closer to its desired state."""
    actions: list[Action] = [
        *cordon_failing(state),
        *cordon_overdue(state, now),
        *cordon_overdue_shards(state, now),
    ]

    # Assignments come first. Everything that is not urgent comes last.
    workers, unserved, batches = workers_by_describer(state, now), [], views(state, now)
    waiting: dict[str, tuple[str, str] | None] = {}
    active = [batch for of_pool in batches.values() for batch in of_pool]
    deletions: list[Iterator[Write]] = []
    for pool in state.describers.pools():
        view = PoolView(state, pool, workers.pop(pool.describer, []), now)
        of_pool = batches.pop(pool.describer, [])
        actions += _run_pool(view, settings, of_pool)
        waiting[pool.describer] = waiting_reason(view) if of_pool else None
        deletions.append(delete_shards(of_pool, view))
        if not view.serving:
            unserved.append(pool)

    for describer, orphaned in batches.items():
        waiting[describer] = unknown_describer(describer)
        deletions.append(delete_shards(orphaned, None))

    actions += advance_batches(state, active, waiting)
    for orphans in workers.values():
        actions += retire_orphans(state, orphans, now)

    sources = _background(state, unserved, settings, now)
    shards = chain(end_or_retry_shards(state, now), *deletions, delete_orphaned(state, now))
    actions += share(state, sources | {SHARDS: shards})
    return actions


def _background(
    state: State, unserved: Iterable[Pool], settings: Settings, now: datetime
) -> dict[str, Iterator[Write]]:
    """Return the sources of background writes, each with its writes in order."""
    queued = state.job_queue.describers()
    unknown = [describer for describer in queued if state.describers.pool(describer) is None]

    return {
        ATTEMPTS: end_or_retry_processing(state, now),
        CANCELLED: take_turns(state, CANCELLED, (fail_cancelled(state, it, now) for it in queued)),
        UNKNOWN: take_turns(
            state, UNKNOWN, (fail_unknown_describer(state, it, now) for it in unknown)
        ),
        **{
            queue_source(pool.describer): fail_unserved(state, pool, settings, now)
            for pool in unserved
        },
        EXPIRY: chain(expire_batches(state, now), expire(state, settings, now)),
        EVENTS: _emit_events(state),
    }


def _run_pool(view: PoolView, settings: Settings, batches: Sequence[BatchView]) -> Iterator[Action]:
    reserved = reserve(view, batches) if batches else None
    assignments, view = assign(view, reserved)
    yield from assignments

    if batches:
        assignments, view = assign_shards(view, batches, reserved)
        yield from assignments

    wanted = wanted_workers(view, wanted_for_batches(view, batches))
    yield from create_shards(view, batches, wanted) if batches else ()
    yield from scale(view, wanted, settings.job_prefix)
    yield from update_status(view, wanted)


def _emit_events(state: State) -> Iterator[EmitEvent]:
    failed = state.job_queue.unannounced
    if not failed:
        return

    in_flight = sum(key.kind == "events" for key in state.background_writes)
    for job in islice(failed.values(), max(0, MAX_EVENTS - in_flight)):
        yield EmitEvent(job)
