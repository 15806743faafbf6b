"""Bound the writes that may take their time, and share them fairly among their sources.

Thousands of ImageJobs may fail, expire or be cancelled at once. Their writes must delay neither an
assignment nor each other, so only a few of them are in flight at any time, and a round looks only
at as many ImageJobs as it can write.
"""

from collections import deque
from collections.abc import Iterator, Mapping

from ..state.state import State
from .actions import EmitEvent, Expire, Fail, Requeue, Write

MAX_BACKGROUND = 16
"""Maximum number of background writes in flight. The executor has twice as many slots, so
assignments always have at least half of them."""

ATTEMPTS, EXPIRY, EVENTS = "attempts", "expiry", "events"
"""Sources of background writes: ended attempts, expired ImageJobs, and Events. Each describer with
queued ImageJobs that must fail is another source."""


def source_of(action: Write) -> str | None:
    """Return the source of a background write; None for all other writes."""
    match action:
        case Requeue():
            return ATTEMPTS
        case Fail():
            is_queued = action.job.status.phase == "queued"
            return queue_source(action.job.spec.describer) if is_queued else ATTEMPTS
        case Expire():
            return EXPIRY
        case EmitEvent():
            return EVENTS

    return None


def queue_source(describer: str) -> str:
    """Return the source of the failures of a describer's queued ImageJobs."""
    return f"queue/{describer}"


def share(state: State, sources: Mapping[str, Iterator[Write]]) -> Iterator[Write]:
    """Yield as many background writes as may be started now.

    The sources take turns. The first one is the one whose last turn was longest ago.
    """
    slots = MAX_BACKGROUND - len(state.background_writes)
    if slots <= 0:
        return

    turns = deque(sorted(sources, key=lambda source: state.turns.get(source, 0)))
    while slots > 0 and turns:
        source = turns.popleft()
        action = next(sources[source], None)
        if action is not None:
            slots -= 1
            turns.append(source)
            yield action
