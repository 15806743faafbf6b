"""Assign queued shards to workers. A worker has at most one shard, besides its single images."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush

from vision_node_contract.models.shard import Shard

from ...state.state import key_of
from ..actions import Assign
from ..pool_view import PoolView, Worker
from .batch_view import BatchView
from .probing import may_probe
from .sizes import largest_size
from .turns import Turns


def reserve(view: PoolView, batches: Sequence[BatchView]) -> str | None:
    """Return the worker (pod name) that gets no new work, so that it can take an `alone` shard.

    Return None if no such shard is waiting, or if one is already being tried. As with single images
    that may have killed a worker, only one is tried at a time while there is other work.
    """
    if any(worker.has_alone_shard for worker in view.workers) or not _may_start(view):
        return None
    if not any(any(_assignable(view, batch, alone=True)) for batch in batches):
        return None

    able = [worker for worker in view.serving if _is_able(view, worker)]
    chosen = min(able, key=lambda it: (it.in_flight + it.has_shard, it.job.name), default=None)
    if chosen is None or (_serves_alone(view, chosen) and _must_serve_singles(view, chosen)):
        return None

    return _name(chosen)


def _serves_alone(view: PoolView, worker: Worker) -> bool:
    """Return whether no other worker can describe single images."""
    trying_suspects = view.state.workers_with_suspects()
    return not any(
        it is not worker
        and _name(it) not in trying_suspects
        and view.capacity(it) is not None
        and view.is_up_to_date(it)
        for it in view.serving
    )


def _must_serve_singles(view: PoolView, worker: Worker) -> bool:
    """Return whether single images come before the next shard that needs a worker to itself.

    They don't wait for the end of another shard. Those that have waited for the last shard that
    needed a worker to itself have the next turn.
    """
    describer, now = view.pool.describer, view.now
    if worker.has_shard:
        return any(view.state.queued(describer, now))

    last = view.state.batches.history(describer).alone_ended
    return last is not None and any(view.state.queued_before(describer, last, now))


def assign_shards(
    view: PoolView, batches: Sequence[BatchView], reserved: str | None
) -> tuple[list[Assign], PoolView]:
    """Return the assignments of shards, and the resulting view."""
    assigned: dict[str, Shard] = {}
    if _may_start(view):
        assigned = {worker: shard for shard, worker in _choices(view, batches, reserved)}

    timeout = view.state.shard_timeout
    actions = [Assign(it, name, timeout(it)) for name, it in assigned.items()]
    return actions, view.with_shards(assigned)


def _choices(
    view: PoolView, batches: Sequence[BatchView], reserved: str | None
) -> Iterator[tuple[Shard, str]]:
    """Yield shards and their workers within the rate limit, in the order of their turns."""
    able = [it for it in view.serving if _is_able(view, it) and not it.has_shard]
    empty = [_name(it) for it in able if not it.in_flight]
    allowed = _allowed_images(view)
    if not able or allowed < 1:
        return

    turns = Turns(batches)
    waiting = _Queue(view, batches, turns)

    if reserved in empty and (found := waiting.next(allowed, alone=True)):
        empty.remove(reserved)
        allowed -= _concurrency(view, found[1])
        yield found[1], reserved

    least_busy = sorted(able, key=lambda it: (it.in_flight, it.job.name))
    free = [_name(it) for it in least_busy if _name(it) not in view.exclusive | {reserved}]
    for name in free:
        found = waiting.next(allowed, alone=False)
        if found is None and name in empty:
            found = waiting.next(allowed, alone=True)
        if found is None:
            continue

        turns.take(found[0], found[1].range.size)
        allowed -= _concurrency(view, found[1])
        yield found[1], name


class _Queue:
    """The shards that may be assigned, in the order of their ImageBatches' turns.

    An ImageBatch is looked at only when it has its turn, because there may be thousands.
    """

    def __init__(self, view: PoolView, batches: Sequence[BatchView], turns: Turns) -> None:
        self._view, self._turns = view, turns
        ready = [(turns.rank(it), place, it) for place, it in enumerate(batches) if it.queued]
        heapify(ready)
        self._heaps = {False: ready, True: ready.copy()}
        self._waiting: dict[tuple[str, bool], deque[Shard]] = {}
        self._started: Counter[str] = Counter()
        # Under a rate limit, or during a pause, one shard at a time is assigned.
        is_probe = view.state.batches.history(view.pool.describer).pause is not None
        self._left = 1 if is_probe or view.describer.interval else None

    def next(self, allowed: float, *, alone: bool) -> tuple[BatchView, Shard] | None:
        """Return the next shard that needs no more than the allowed images, and its ImageBatch.

        An ImageBatch whose next shard needs more is not looked at again, so `allowed` must never
        increase.
        """
        heap = self._heaps[alone] if self._left != 0 else []
        while heap:
            rank, place, batch = heappop(heap)
            if (current := self._turns.rank(batch)) != rank:
                heappush(heap, (current, place, batch))
                continue

            shards = self._shards(batch, alone=alone)
            if shards and self._has_capacity(batch) and self._fits(shards[0], allowed):
                heappush(heap, (rank, place, batch))
                self._started[batch.record.uid] += 1
                self._left = None if self._left is None else self._left - 1
                return batch, shards.popleft()

        return None

    def _shards(self, batch: BatchView, *, alone: bool) -> deque[Shard]:
        key = (batch.record.uid, alone)
        if key not in self._waiting:
            self._waiting[key] = deque(_assignable(self._view, batch, alone=alone))

        return self._waiting[key]

    def _fits(self, shard: Shard, allowed: float) -> bool:
        # A shard that is tried alone has a fixed size. After a refusal, when one image at a time is
        # allowed, it would never be tried.
        needed = 1 if shard.spec.images.alone else _concurrency(self._view, shard)
        return needed <= allowed

    def _has_capacity(self, batch: BatchView) -> bool:
        limit = batch.batch.spec.parallelism
        return limit is None or len(batch.in_progress) + self._started[batch.record.uid] < limit


def _assignable(view: PoolView, batch: BatchView, *, alone: bool) -> Iterator[Shard]:
    """Yield the queued shards of an ImageBatch that may be assigned, oldest first."""
    wanted = batch.queued_alone if alone else batch.queued_together
    is_paused = batch.record.pause is not None and not batch.may_probe
    if not wanted or is_paused or not batch.is_running:
        return

    redundant = {shard.metadata.name for shard in batch.redundant}
    largest = largest_size(view)
    for shard in wanted:
        due = shard.status.next_attempt_time
        is_due = (due is None or due <= view.now) and not shard.spec.cancel
        is_wanted = shard.metadata.name not in redundant
        fits = alone or shard.range.size <= largest
        if is_due and is_wanted and fits and view.state.is_free(key_of(shard), view.now):
            yield shard
            if batch.record.pause:
                return  # one shard shows whether the problem is over


def _may_start(view: PoolView) -> bool:
    """Return whether shards may be assigned now."""
    if not view.state.knows_all_shards:
        return False

    pause = view.state.batches.history(view.pool.describer).pause
    return pause is None or may_probe(view)


def _allowed_images(view: PoolView) -> float:
    """Return how many more images may be processed at the same time under the rate limit."""
    # As for single images, workers that are considered hung don't count.
    working = [worker for worker in view.workers if not (worker.cordoned or worker.silent)]
    at_once = view.pool.spec.images_at_once
    processing = sum(it.in_flight + min(it.shard_images, at_once) for it in working)

    allowance = view.rate_limit.allowance(view.describer.interval, processing, view.now)
    if allowance is None or (allowance > 0 and view.describer.interval):
        # A shard uses one slot per image, and its worker keeps the interval.
        return max(0.0, view.rate_limit.concurrency_limit - processing)

    return allowance


def _concurrency(view: PoolView, shard: Shard) -> int:
    """Return how many images of a shard are processed at the same time."""
    return min(shard.range.size, view.pool.spec.images_at_once)


def _is_able(view: PoolView, worker: Worker) -> bool:
    """Return whether the worker may get a shard at all."""
    if worker.pod is None or not worker.can_take_shards or not view.is_up_to_date(worker):
        return False

    capacity = view.capacity(worker)
    # In a dedicated pool, a worker describes only one image, so it must not have one yet.
    is_dedicated = view.pool.spec.isolation == "dedicated"
    return capacity is not None and not (is_dedicated and capacity == 0)


def _name(worker: Worker) -> str:
    return worker.pod.name if worker.pod else ""
