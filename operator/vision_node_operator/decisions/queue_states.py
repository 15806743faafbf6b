"""Summarize the queues of Describers, for the operator's metrics."""

from dataclasses import dataclass
from datetime import datetime

from ..state.state import State


@dataclass(slots=True)
class QueueState:
    """How many ImageJobs are queued, and for how long the oldest has existed."""

    depth: int = 0
    oldest_seconds: float = 0.0


def queue_states(state: State, now: datetime) -> dict[str, QueueState]:
    """Return the state of each queue, by the Describer's name in metrics.

    No ImageJob is read, because there may be thousands of them.
    """
    found = {name: QueueState() for name in state.statistics.by_describer}

    for describer, record in state.describers.records.items():
        depth = record.load.unfinished - record.load.processing
        if not depth:
            continue

        queue = found.setdefault(state.label(describer), QueueState())
        queue.depth += depth
        if oldest := state.job_queue.oldest_queued(describer):
            queue.oldest_seconds = max(queue.oldest_seconds, (now - oldest).total_seconds())

    return found
