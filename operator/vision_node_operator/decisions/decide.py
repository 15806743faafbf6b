"""Decide what to do next. decide() is pure: it has no clock and no client, and changes nothing."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from ..settings import Settings
from ..state.state import State
from .actions import Action, EmitEvent, Write
from .assignment import assign
from .background import ATTEMPTS, EVENTS, EXPIRY, queue_source, share
from .conditions import update_status
from .expiry import expire
from .job_lifecycle import (
    cordon_failing,
    cordon_overdue,
    end_or_retry_processing,
    fail_queued,
)
from .pool_view import PoolView, workers_by_describer
from .scaling import retire_orphans, scale, wanted_workers

MAX_EVENTS = 4
"""Maximum number of failure Events in flight. Without a limit, a mass failure would delay
assignments."""


def decide(state: State, settings: Settings, now: datetime) -> list[Action]:
    """Return the actions that, at `now` (UTC), bring the namespace closer to its desired state."""
    actions: list[Action] = [*cordon_failing(state), *cordon_overdue(state, now)]

    # Assignments come first. Everything that may take its time comes last.
    workers = workers_by_describer(state, now)
    for pool in state.describers.pools():
        view = PoolView(state, pool, workers.pop(pool.describer, []), now)
        actions += _run_pool(view, settings)

    for orphans in workers.values():
        actions += retire_orphans(state, orphans, now)

    actions += share(state, _background(state, settings, now))
    return actions


def _background(state: State, settings: Settings, now: datetime) -> dict[str, Iterator[Write]]:
    """Return the sources of background writes, each with its writes in order."""
    return {
        ATTEMPTS: end_or_retry_processing(state, now),
        **{
            queue_source(describer): fail_queued(state, describer, settings, now)
            for describer in state.job_queue.describers()
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
