"""Decide what to do next. decide() is pure: it has no clock and no client, and changes nothing."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

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
    UNKNOWN,
    queue_source,
    share,
    take_turns,
)
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
    actions: list[Action] = [*cordon_failing(state), *cordon_overdue(state, now)]

    # Assignments come first. Everything that is not urgent comes last.
    workers, unserved = workers_by_describer(state, now), []
    for pool in state.describers.pools():
        view = PoolView(state, pool, workers.pop(pool.describer, []), now)
        actions += _run_pool(view, settings)
        if not view.serving:
            unserved.append(pool)

    for orphans in workers.values():
        actions += retire_orphans(state, orphans, now)

    actions += share(state, _background(state, unserved, settings, now))
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
        EXPIRY: expire(state, settings, now),
        EVENTS: _emit_events(state),
    }


def _run_pool(view: PoolView, settings: Settings) -> Iterator[Action]:
    assignments, view = assign(view)
    wanted = wanted_workers(view)

    yield from assignments
    yield from scale(view, wanted, settings.job_prefix)
    yield from update_status(view, wanted)


def _emit_events(state: State) -> Iterator[EmitEvent]:
    failed = state.job_queue.unannounced
    if not failed:
        return

    in_flight = sum(key.kind == "events" for key in state.background_writes)
    for job in islice(failed.values(), max(0, MAX_EVENTS - in_flight)):
        yield EmitEvent(job)
