"""Decide what to do next. decide() is pure: it has no clock and no client, and changes nothing."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from ..settings import Settings
from ..state.state import State
from .actions import Action, EmitEvent
from .assignment import assign
from .conditions import update_status
from .expiry import expire
from .job_lifecycle import cordon_failing, end_or_retry_processing, fail_queued
from .pool_view import PoolView, workers_by_describer
from .scaling import retire_orphans, scale, wanted_workers

MAX_EVENTS = 4
"""Maximum number of failure Events in flight. Without a limit, a mass failure would delay
assignments."""


def decide(state: State, settings: Settings, now: datetime) -> list[Action]:
    """Return the actions that, at `now` (UTC), bring the namespace closer to its desired state."""
    actions: list[Action] = [
        *cordon_failing(state),
        *end_or_retry_processing(state, now),
        *fail_queued(state, settings, now),
    ]

    workers = workers_by_describer(state, now)
    for pool in state.describers.pools():
        view = PoolView(state, pool, workers.pop(pool.describer, []), now)
        actions += _run_pool(view, settings)

    for orphans in workers.values():
        actions += retire_orphans(state, orphans, now)

    actions += expire(state, settings, now)
    actions += _emit_events(state)
    return actions


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

    in_flight = sum(key.kind == "events" for key in state.pending_writes)
    for job in islice(failed.values(), max(0, MAX_EVENTS - in_flight)):
        yield EmitEvent(job)
