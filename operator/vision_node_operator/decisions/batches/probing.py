"""Decide why a Describer's ImageBatches must wait, and when to try again."""

from datetime import timedelta

from vision_node_contract.models.reasons import BatchReason, ReadyReason

from ..pool_view import PoolView

UNSERVED = timedelta(seconds=30)
"""How long a Describer may have no serving worker before its ImageBatches count as waiting. A
launch takes a few seconds, or longer if the image must be pulled first."""


def may_probe(view: PoolView) -> bool:
    """Return whether a shard may be assigned despite a pause, to see whether the problem is over.

    Only one shard at a time is tried.
    """
    pause = view.state.batches.history(view.pool.describer).pause
    if pause is None or view.now < pause.probe_at:
        return False

    return not any(worker.has_shard for worker in view.workers)


def waiting_reason(view: PoolView) -> tuple[str, str] | None:
    """Return the reason and a message if the Describer's ImageBatches must wait; otherwise None.

    The message does not change while the problem lasts, because each change is written.
    """
    if pause := view.state.batches.history(view.pool.describer).pause:
        return pause.reason, pause.message
    if view.rate_limit.is_blocked_for_long(view.now):
        return ReadyReason.RATE_LIMITED, "the provider has refused requests because of their rate"

    if knows_no_batches(view):
        message = (
            f"the workers of Describer {view.pool.describer} do not support ImageBatches: "
            "build their image again from this release"
        )
        return BatchReason.WORKER_TOO_OLD, message

    return None if view.serving else _unserved(view)


def knows_no_batches(view: PoolView) -> bool:
    """Return whether the Describer's current workers are of a release that knows no shards."""
    serving = [worker for worker in view.serving if view.is_up_to_date(worker)]
    return bool(serving) and not any(worker.can_take_shards for worker in serving)


def _unserved(view: PoolView) -> tuple[str, str] | None:
    """Return why there has been no worker for a while."""
    ready = view.pool.status.readiness
    if ready is None or ready.status != "False":
        return None

    is_new = view.now - ready.last_transition_time < UNSERVED
    return None if is_new else (ready.reason, ready.message)


def unknown_describer(describer: str) -> tuple[str, str]:
    """Return the reason and a message for an ImageBatch whose Describer does not exist."""
    message = f"there is no Describer named {describer}: create it, and the batch continues"
    return ReadyReason.DESCRIBER_NOT_FOUND, message
