"""Compute a Describer's status, and decide whether a status change is worth an Event."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal, NamedTuple

from vision_node_contract.models.describer import DEPRECATED, FALLBACK_READY, READY, DescriberStatus
from vision_node_contract.models.imagejob import Condition
from vision_node_contract.models.reasons import ReadyReason
from vision_node_contract.models.transitions import MAX_MESSAGE_CHARACTERS

from ..state.object_versions import ObjectKey
from ..state.pools.pool import Pool
from ..state.problems import Problem
from .actions import UpdateStatus
from .pool_view import PoolView, Worker

MIN_UPDATE_INTERVAL = timedelta(seconds=5)
"""Minimum time between two writes of a Describer's status. Without a minimum, the status would be
written for every image."""

POD_CREATION = timedelta(seconds=10)
"""How long to wait for a Job's pod. Kubernetes normally creates it within a second, so after this
time something must be preventing it."""

OPERATOR_CONDITIONS = frozenset({READY, FALLBACK_READY, DEPRECATED})
"""Conditions that the operator writes. It leaves all others unchanged."""

PROBLEM_REASONS = frozenset(reason for reason in ReadyReason if reason.troubled)
"""Reasons that show that a person may have to act."""


class ConditionState(NamedTuple):
    """The status, reason and message of a condition."""

    status: Literal["True", "False"]
    reason: ReadyReason
    message: str


def update_status(view: PoolView, wanted: int) -> Iterator[UpdateStatus]:
    """Yield the action that writes the Describer's status, if the status has changed.

    `wanted` is the number of workers that the Describer should have. Nothing is yielded if the
    status was written recently or can't be written now.
    """
    name = view.pool.describer
    last = view.describer.status_written_at
    is_recent = last is not None and view.now - last < MIN_UPDATE_INTERVAL
    if is_recent or not view.state.is_free(ObjectKey("describers", name), view.now):
        return

    status = _status(view, wanted)
    if status != view.pool.status:
        emit_event = _is_worth_an_event(view.pool.status.readiness, status.readiness)
        yield UpdateStatus(view.pool, status, emit_event)


def _status(view: PoolView, wanted: int) -> DescriberStatus:
    load = view.describer.load
    alive = [worker for worker in view.workers if not worker.ended]
    states = {
        READY: _readiness(view, alive, wanted),
        FALLBACK_READY: _fallback_readiness(view.pool),
        DEPRECATED: _deprecation(view, alive),
    }
    others = [it for it in view.pool.status.conditions if it.type not in OPERATOR_CONDITIONS]
    own = [_condition(view, kind, state) for kind, state in states.items() if state]

    return DescriberStatus(
        provider=view.pool.resource.provider,
        workers=len(alive),
        ready=sum(worker.serving for worker in alive),
        queued=load.unfinished - load.processing,
        processing=load.processing,
        conditions=[*others, *own],
    )


def _condition(view: PoolView, kind: str, state: ConditionState) -> Condition:
    before = view.pool.status.condition(kind)
    is_same = before is not None and before.status == state.status
    return Condition(
        type=kind,
        status=state.status,
        reason=state.reason,
        message=state.message[:MAX_MESSAGE_CHARACTERS],
        last_transition_time=before.last_transition_time if before and is_same else view.now,
        observed_generation=view.pool.resource.metadata.generation,
    )


def _readiness(view: PoolView, alive: list[Worker], wanted: int) -> ConditionState:
    ready = sum(worker.serving for worker in alive)
    problem = _launch_problem(view, alive) if ready < wanted else None
    provider = _provider_problem(view)

    if provider and (ready or not problem):
        return ConditionState("False", provider.reason, provider.message)
    if ready:
        return _serving(view, problem)
    if problem:
        return ConditionState("False", problem.reason, problem.message)
    if wanted:
        return ConditionState("False", ReadyReason.STARTING, "No worker is serving yet")

    return ConditionState(
        "True",
        ReadyReason.IDLE,
        "No workers are running because there is no work; the next image starts one",
    )


def _serving(view: PoolView, problem: Problem | None) -> ConditionState:
    if problem:
        message = f"Running with the existing workers; cannot add more: {problem.message}"
        return ConditionState("True", problem.reason, message)

    blocked_until = view.rate_limit.blocked_until
    is_waiting = view.describer.load.unfinished > 0
    if view.now < blocked_until and is_waiting:
        message = f"Rate limited by the provider until {blocked_until:%H:%M:%S} UTC"
        return ConditionState("True", ReadyReason.RATE_LIMITED, message)

    return ConditionState("True", ReadyReason.SERVING, "Workers are serving")


def _provider_problem(view: PoolView) -> Problem | None:
    """Return the provider problem that makes every image fail; None if there is none.

    The last finished image shows whether the provider has a problem. Until this operator has seen
    an image finish, it uses the problem in the Describer's status.
    """
    if health := view.describer.provider_health:
        return health.problem

    before = view.pool.status.readiness
    if before is None or before.observed_generation != view.pool.resource.metadata.generation:
        return None

    reason = ReadyReason.by_provider(before.reason)
    return Problem(reason, before.message) if reason else None


def _fallback_readiness(pool: Pool) -> ConditionState | None:
    if pool.spec.fallback is None:
        return None
    if pool.fallback_problem:
        return ConditionState("False", ReadyReason.FALLBACK_UNAVAILABLE, pool.fallback_problem)

    message = f"{pool.spec.fallback} describes images during an outage"
    return ConditionState("True", ReadyReason.FALLBACK_AVAILABLE, message)


def _deprecation(view: PoolView, alive: list[Worker]) -> ConditionState | None:
    """Return the state of the condition Deprecated; None if there is no warning.

    While no worker serves, the last warning is kept.
    """
    serving = [worker.pod.name for worker in alive if worker.serving and worker.pod]
    records = [view.state.workers.records[name] for name in serving]
    warnings = [record.warning for record in records if record.warning]

    before, resource = view.pool.status.condition(DEPRECATED), view.pool.resource
    if not serving and before and before.observed_generation == resource.metadata.generation:
        warnings = [before.message]

    if not warnings:
        return None

    return ConditionState("True", ReadyReason.RETIREMENT_ANNOUNCED, warnings[0])


def _launch_problem(view: PoolView, alive: list[Worker]) -> Problem | None:
    """Return the reason why too few workers serve; None if it is unknown."""
    for worker in alive:
        if worker.pod and worker.pod.problem and not worker.serving:
            return worker.pod.problem
        if worker.pod is None and view.now - worker.job.created > POD_CREATION:
            return Problem(
                ReadyReason.INSUFFICIENT_RESOURCES,
                "Kubernetes has not created a pod, most likely because of a quota: "
                f"see `kubectl describe job {worker.job.name}`",
            )

    return view.describer.launch_backoff.current_problem(view.now)


def _is_worth_an_event(before: Condition | None, after: Condition | None) -> bool:
    """Return whether a problem has appeared, changed or disappeared.

    Changes that only reflect the amount of work, such as from Idle to Serving, don't count.
    """
    reasons = {before.reason if before else "", after.reason if after else ""}
    return len(reasons) == 2 and not reasons.isdisjoint(PROBLEM_REASONS)
