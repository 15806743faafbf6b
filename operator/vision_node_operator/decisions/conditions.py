"""What is said of a Describer: its status, and whether it is worth an Event."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

from vision_node_contract.models.describer import DEPRECATED, FALLBACK_READY, READY, DescriberStatus
from vision_node_contract.models.imagejob import Condition
from vision_node_contract.models.reasons import ReadyReason
from vision_node_contract.models.transitions import MAX_MESSAGE_CHARACTERS

from ..state.pools import Pool
from ..state.problems import Trouble
from ..state.state import State, key
from .actions import Report
from .worker_view import Worker

REPORT_PERIOD = timedelta(seconds=5)
"""A Describer's status is written at most so often: never per image."""

Truth = Literal["True", "False"]
Said = tuple[Truth, ReadyReason, str]

POD_COMES = timedelta(seconds=10)
"""Kubernetes makes a Job's pod within a second, unless something forbids it."""


def report(
    state: State, pool: Pool, workers: Sequence[Worker], wanted: int, now: datetime
) -> Iterator[Report]:
    """Write how a Describer fares that has these workers and should have `wanted`, if that has changed."""
    name = pool.describer
    last = state.reported.get(name)
    if (last and now - last < REPORT_PERIOD) or not state.is_free(key("describers", name), now):
        return

    demand = state.backlog.demand(name)
    alive = [worker for worker in workers if not (worker.job.ended or worker.job.deleting)]
    condition = _dated(pool, READY, *_readiness(state, pool, alive, wanted, now), now)
    told = [
        condition,
        *(_dated(pool, kind, *said, now) for kind, said in _further(state, pool, alive) if said),
    ]
    ours = {READY, FALLBACK_READY, DEPRECATED}
    others = [c for c in pool.status.conditions if c.type not in ours]
    status = DescriberStatus(
        provider=pool.resource.provider,
        workers=len(alive),
        ready=sum(worker.serving for worker in alive),
        queued=demand.unfinished - demand.processing,
        processing=demand.processing,
        conditions=[*others, *told],
    )
    if status != pool.status:
        yield Report(pool, status, tell=_is_news(pool.status.readiness, condition))


def _dated(
    pool: Pool, kind: str, status: Truth, reason: ReadyReason, message: str, now: datetime
) -> Condition:
    before = pool.status.condition(kind)
    same = before is not None and before.status == status
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:MAX_MESSAGE_CHARACTERS],
        last_transition_time=before.last_transition_time if before and same else now,
        observed_generation=pool.resource.metadata.generation,
    )


def _readiness(
    state: State, pool: Pool, workers: Sequence[Worker], wanted: int, now: datetime
) -> Said:
    ready = sum(worker.serving for worker in workers)
    trouble = _trouble(state, pool, workers, now) if ready < wanted else None
    provider = _of_provider(state, pool)
    if provider and (ready or not trouble):
        return "False", provider.reason, provider.message
    if ready:
        return _serving(state, pool, trouble, now)
    if trouble:
        return "False", trouble.reason, trouble.message
    if wanted:
        return "False", ReadyReason.STARTING, "no worker serves yet"

    return (
        "True",
        ReadyReason.IDLE,
        "no worker runs, for nothing is asked; the next image launches one",
    )


def _serving(state: State, pool: Pool, trouble: Trouble | None, now: datetime) -> Said:
    if trouble:
        return "True", trouble.reason, f"goes on with the workers that it has: {trouble.message}"
    until = state.pace(pool.describer).closed_until
    if now < until and state.backlog.demand(pool.describer).unfinished:
        message = f"the provider wants to be left alone until {until:%H:%M:%S} UTC"
        return "True", ReadyReason.RATE_LIMITED, message
    return "True", ReadyReason.SERVING, "images are described"


def _of_provider(state: State, pool: Pool) -> Trouble | None:
    """Return why every image fails, as of the last one; before one has ended, what was said before us."""
    if known := state.verdicts.get(pool.describer):
        return known.trouble
    before = pool.status.readiness
    if before is None or before.observed_generation != pool.resource.metadata.generation:
        return None
    found = ReadyReason.by_provider(before.reason)
    return Trouble(found, before.message) if found else None


def _further(
    state: State, pool: Pool, workers: Sequence[Worker]
) -> Iterator[tuple[str, Said | None]]:
    yield FALLBACK_READY, _fallback(pool)
    yield DEPRECATED, _deprecation(state, pool, workers)


def _fallback(pool: Pool) -> Said | None:
    if pool.spec.fallback is None:
        return None
    if pool.hindrance:
        return "False", ReadyReason.FALLBACK_UNAVAILABLE, pool.hindrance

    return (
        "True",
        ReadyReason.FALLBACK_AVAILABLE,
        f"{pool.spec.fallback} stands in during an outage",
    )


def _deprecation(state: State, pool: Pool, workers: Sequence[Worker]) -> Said | None:
    """Return what workers warn of; while none serves, what they last did."""
    serving = [worker.pod.name for worker in workers if worker.serving and worker.pod]
    warnings = [state.fleet.warnings[name] for name in serving if name in state.fleet.warnings]
    before = pool.status.condition(DEPRECATED)
    if not serving and before and before.observed_generation == pool.resource.metadata.generation:
        warnings = [before.message]
    return ("True", ReadyReason.RETIREMENT_ANNOUNCED, warnings[0]) if warnings else None


def _trouble(state: State, pool: Pool, workers: Sequence[Worker], now: datetime) -> Trouble | None:
    """Return why fewer workers serve than should, if anything is known to be in their way."""
    for worker in workers:
        if worker.pod and worker.pod.trouble and not worker.serving:
            return worker.pod.trouble
        if worker.pod is None and now - worker.job.created > POD_COMES:
            look = f"kubectl describe job {worker.job.name}"
            return Trouble(
                ReadyReason.INSUFFICIENT_RESOURCES,
                f"no pod is made, most often because of a quota: see `{look}`",
            )

    return state.fleet.trouble(pool.describer, now)


def _is_news(before: Condition | None, after: Condition) -> bool:
    """Whether trouble has come, changed or gone; that workers come and go with the work is none."""
    words = {before.reason if before else "", after.reason}
    return len(words) == 2 and any(word in words for word in ReadyReason if word.troubled)
