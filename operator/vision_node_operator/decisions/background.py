"""Bound the writes that are not urgent, and share them fairly among their sources.

Thousands of ImageJobs may fail, expire or be cancelled at once. Their writes must delay neither an
assignment nor one another, so only a few of them are in flight at any time, and a round looks only
at as many ImageJobs as it can write.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping

from vision_node_contract.models.reasons import Reason
from vision_node_contract.models.shard import Shard

from ..state.state import State
from .actions import (
    CancelShard,
    DeleteShard,
    EmitEvent,
    Expire,
    ExpireBatch,
    ExpireUpload,
    Fail,
    GiveUpShard,
    Requeue,
    Write,
)

MAX_BACKGROUND = 16
"""Maximum number of background writes in flight. The executor has twice as many slots, so
assignments always have at least half of them."""

RESERVED_FOR_ATTEMPTS = 4
"""Number of background writes that only ended attempts may use. Any other source may hold all the
rest for many seconds, for example if a webhook makes deletions hang."""

ATTEMPTS, CANCELLED, UNKNOWN = "attempts", "cancelled", "unknown"
EXPIRY, EVENTS = "expiry", "events"
SHARDS = "shards"
"""Sources of background writes: ended attempts, cancelled ImageJobs, those of Describers that don't
exist, expired ones (ImageBatches, too), Events, and shards that end or are deleted. Each Describer
whose ImageJobs no worker will describe is another source."""


def source_of(action: Write) -> str | None:
    """Return the source of a background write; None for all other writes."""
    match action:
        case (
            GiveUpShard() | CancelShard() | DeleteShard() | Requeue(job=Shard()) | Fail(job=Shard())
        ):
            return SHARDS
        case Requeue():
            return ATTEMPTS
        case Fail():
            return _source_of_failure(action)
        case Expire() | ExpireBatch() | ExpireUpload():
            return EXPIRY
        case EmitEvent():
            return EVENTS

    return None


def queue_source(describer: str) -> str:
    """Return the source of the failures of queued ImageJobs that have had no worker for too long.

    The Describer exists, so the number of these sources is bounded.
    """
    return f"queue/{describer}"


def share(state: State, sources: Mapping[str, Iterator[Write]]) -> Iterator[Write]:
    """Yield as many background writes as may be started now.

    The sources take turns. The first one is the one whose last turn was longest ago.
    """
    in_flight = Counter(state.background_writes.values())
    slots = MAX_BACKGROUND - in_flight.total()
    others = MAX_BACKGROUND - RESERVED_FOR_ATTEMPTS - (in_flight.total() - in_flight[ATTEMPTS])

    turns = deque(sorted(sources, key=lambda source: state.turns.get(source, 0)))
    while slots > 0 and turns:
        source = turns.popleft()
        if source != ATTEMPTS and others <= 0:
            continue

        action = next(sources[source], None)
        if action is not None:
            slots -= 1
            others -= source != ATTEMPTS
            turns.append(source)
            yield action


def take_turns(state: State, source: str, queues: Iterable[Iterator[Fail]]) -> Iterator[Fail]:
    """Yield one failure of each of the source's queues, then another one of each, and so on.

    A round may have room for one write only, so each write makes the next round begin with the next
    queue.
    """
    turns = deque(queues)
    if turns:
        turns.rotate(-(state.started_by_source[source] % len(turns)))

    while turns:
        queue = turns.popleft()
        action = next(queue, None)
        if action is not None:
            turns.append(queue)
            yield action


def _source_of_failure(action: Fail) -> str:
    if action.job.status.phase != "queued":
        return ATTEMPTS

    match action.reason:
        case Reason.CANCELLED:
            return CANCELLED
        case Reason.DESCRIBER_NOT_FOUND:
            return UNKNOWN

    return queue_source(action.job.spec.describer)
