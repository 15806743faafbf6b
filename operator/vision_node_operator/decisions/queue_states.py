"""Summarize the queues and ImageBatches of Describers, for the operator's metrics."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from vision_node_contract.models.imagejob import Phase

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


@dataclass(slots=True)
class BatchStates:
    """How many ImageBatches and shards there are, and what is left to do."""

    phases: Counter[Phase] = field(default_factory=Counter)
    """Numbers of ImageBatches by phase."""
    images_left: Counter[str] = field(default_factory=Counter)
    """Numbers of images that have not been counted, by the Describer's name in metrics."""
    waiting: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Numbers of waiting ImageBatches, by the Describer's name in metrics and by reason."""
    shards: Counter[Phase] = field(default_factory=Counter)
    """Numbers of shards by phase."""


def batch_states(state: State) -> BatchStates:
    """Return the state of all ImageBatches and shards."""
    found = BatchStates()
    found.shards.update(shard.status.phase for shard in state.batches.shards.values())

    for batch in state.batches.all_batches():
        found.phases[batch.status.phase] += 1
        if batch.finished:
            continue

        label = state.label(batch.spec.describer)
        found.images_left[label] += batch.counts.total - batch.counts.ended
        if waiting := batch.status.true_condition("Waiting"):
            found.waiting[label, waiting.reason] += 1

    return found
