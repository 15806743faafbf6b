"""Decide what happens to shards that were lost, or whose worker makes no progress.

Nothing is known about the images of a lost shard, so all of them are described again. Images that
may have killed the worker are tried alone. If it is unknown which ones these are, the shard is
halved until they are found.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from vision_node_contract.models.reasons import Reason
from vision_node_contract.models.shard import Shard
from vision_node_contract.ranges import Range, RangeSet, format_ranges

from ...state.state import State, key_of
from ...state.termination import Termination
from ...state.worker_objects import Pod
from ..actions import CancelShard, Cordon, Fail, GiveUpShard, Requeue
from ..retry import fail_culprit, known_reason, wait_after

FREE_LOSSES = 3
"""Number of times that a whole shard is tried again. Nodes may be drained one by one, which is
no image's fault."""

CANCEL_GRACE = timedelta(seconds=30)
"""How long a worker may take to store its results and end a shard after the request to do so."""

ShardEnd = Requeue | GiveUpShard | Fail | CancelShard


def end_or_retry_shards(state: State, now: datetime) -> Iterator[ShardEnd]:
    """Yield what to do about processing shards that are lost, late or no longer wanted."""
    for worker in state.batches.workers():
        pod = state.workers.pod(worker)
        for shard in state.batches.assigned_to(worker):
            if not state.is_free(key_of(shard), now):
                continue
            if action := _next_action(state, shard, pod, now):
                yield action


def cordon_overdue_shards(state: State, now: datetime) -> Iterator[Cordon]:
    """Cordon workers whose shard makes no progress within the Describer's usual timeout.

    If the shorter timeout of an ImageBatch were enough, users could take workers out of service.
    """
    for worker in state.batches.workers():
        record, shards = state.workers.find(worker), state.batches.assigned_to(worker)
        if record is None or record.cordoned or record.pod is None or not record.pod.alive:
            continue

        if any(_is_hung(state, shard, now) for shard in shards):
            yield Cordon(worker)


def _is_hung(state: State, shard: Shard, now: datetime) -> bool:
    is_ended = shard.status.error is not None or not state.is_free(key_of(shard), now)
    if is_ended or not _is_overdue(state, shard, now):
        return False

    usual = timedelta(seconds=state.spec_for(shard).timeout_seconds)
    return _is_overdue(state, shard, now, max(timedelta(0), usual - state.timeout(shard)))


def _next_action(state: State, shard: Shard, pod: Pod | None, now: datetime) -> ShardEnd | None:
    batch = state.batches.batch_of(shard)
    if batch is None or not batch.is_active:
        return None
    if pod is None or not pod.alive:
        return _after_loss(shard, pod, now)
    if error := shard.status.error:
        return _retry(shard, known_reason(error.reason), error.message, now)
    if shard.spec.cancel:
        return _force_end(state, shard, now)
    if _is_overdue(state, shard, now):
        return _time_out(state, shard, now)

    is_stopped = batch.batch.spec.suspend or batch.batch.stop_reason
    return CancelShard(shard) if is_stopped else None


def _after_loss(shard: Shard, pod: Pod | None, now: datetime) -> ShardEnd:
    """Return the action for a shard whose worker is gone."""
    worker = f"worker {shard.status.worker}"
    end = pod.termination if pod else None
    if end is None:
        return _retry(shard, Reason.WORKER_LOST, f"{worker} is gone", now)

    message = f"{worker} ended ({end.reason}, exit code {end.exit_code})"
    named = _named(shard, end)
    is_unexplained = end.crashed and not end.in_progress
    if end.crashed and shard.is_alone and (named or is_unexplained):
        return fail_culprit(shard, end)
    if end.killed and named and not shard.is_alone:
        message += f" while it was describing {format_ranges(named)}, to be tried alone"
        return _give_up(shard, Reason.WORKER_LOST, message, named)
    if is_unexplained:
        return _give_up(shard, Reason.WORKER_LOST, message, _halves(shard.range))

    return _retry(shard, Reason.WORKER_LOST, message, now)


def _named(shard: Shard, end: Termination) -> list[Range]:
    """Return the images of the shard that the worker was describing when it ended."""
    prefix = f"{shard.metadata.uid}/"
    words = (word.removeprefix(prefix) for word in end.in_progress if word.startswith(prefix))
    # The words are untrusted. An index has at most nine digits.
    indexes = (int(word) for word in words if word.isdecimal() and len(word) <= 9)
    whole = RangeSet([shard.range])
    return [Range(index, index) for index in sorted(indexes) if index in whole]


def _retry(shard: Shard, reason: Reason, message: str, now: datetime) -> ShardEnd:
    """Try the whole shard again; after several losses, search for the image that causes them."""
    if shard.spec.cancel:
        return _give_up(shard, Reason.CANCELLED, message)
    if shard.status.losses < FREE_LOSSES:
        due = now + wait_after(shard.status.losses)
        return Requeue(shard, reason, message, due, lost=True)
    if reason.is_describers_problem:
        return _give_up(shard, reason, message)
    if not shard.is_alone:
        return _give_up(shard, reason, message, _halves(shard.range))

    is_late = reason is Reason.ATTEMPT_TIMED_OUT
    total = f"{shard.status.attempts} attempts were lost; the last: {message}"
    return Fail(shard, reason if is_late else Reason.DESCRIBER_FAILED, total)


def _time_out(state: State, shard: Shard, now: datetime) -> ShardEnd:
    """Take a shard away from a worker that is lost, hung or too slow."""
    worker, seconds = shard.status.worker or "", state.timeout(shard).total_seconds()
    if state.is_silent(worker, now):
        message = f"worker {worker} is hung or cut off: it has stopped renewing its Lease"
        return _retry(shard, Reason.WORKER_LOST, message, now)

    reason = Reason.ATTEMPT_TIMED_OUT
    message = f"worker {worker} did not finish an image within {seconds:g} s"
    if shard.is_alone:
        return Fail(shard, reason, message)
    if shard.spec.images.alone:
        return _give_up(shard, reason, message, _halves(shard.range))

    return _retry(shard, reason, message, now)


def _force_end(state: State, shard: Shard, now: datetime) -> GiveUpShard | None:
    since = state.batches.cancelled_at(shard.metadata.name)
    is_late = since is not None and now - since >= CANCEL_GRACE
    if not is_late or state.is_in_grace_period(now):
        return None

    message = f"worker {shard.status.worker} did not end the shard in time when asked to"
    return _give_up(shard, Reason.CANCELLED, message)


def _is_overdue(state: State, shard: Shard, now: datetime, extra: timedelta = timedelta(0)) -> bool:
    """Return whether the deadline has passed, and the worker has not made progress recently."""
    deadline = shard.status.attempt_deadline
    if deadline is None or now < deadline + extra or state.is_in_grace_period(now):
        return False

    worker = state.workers.find(shard.status.worker)
    since = now - state.shard_timeout(shard) - extra
    return worker is None or not worker.has_progressed(shard.metadata.uid, since)


def _halves(whole: Range) -> list[Range]:
    """Return the two halves of the range; the range itself if it has only one image."""
    middle = (whole.first + whole.last) // 2
    halves = [Range(whole.first, middle), Range(middle + 1, whole.last)]
    return [it for it in halves if it.size > 0]


def _give_up(
    shard: Shard, reason: Reason, message: str, suspects: Iterable[Range] = ()
) -> GiveUpShard:
    return GiveUpShard(shard, reason, message, format_ranges(suspects))
