"""Classify workers by what they do, for the operator's metrics."""

from collections import Counter
from datetime import datetime
from typing import Literal, get_args

from ..state.state import State
from .pool_view import Worker, workers_by_describer

WorkerState = Literal["starting", "idle", "busy", "cordoned", "silent", "ending"]
"""What a worker does. `idle` and `busy` workers serve. A `silent` worker has not renewed its Lease
in time, and a `cordoned` one gets no more ImageJobs."""

STATES: tuple[WorkerState, ...] = get_args(WorkerState)


def state_of(worker: Worker) -> WorkerState:
    """Return what the worker does."""
    pod = worker.pod
    if worker.ended or (pod and (pod.deleting or not pod.alive)):
        return "ending"
    if worker.last_renewed is None:
        return "starting"
    if worker.cordoned:
        return "cordoned"
    if worker.silent:
        return "silent"
    if not worker.serving:
        return "ending"  # the operator has deleted its Job, which the watch has not reported yet

    return "busy" if worker.has_work else "idle"


def count_workers(state: State, now: datetime) -> Counter[tuple[str, WorkerState]]:
    """Return the numbers of workers by their Describer's name in metrics and by what they do."""
    return Counter(
        (state.label(describer), state_of(worker))
        for describer, workers in workers_by_describer(state, now).items()
        for worker in workers
    )
