"""Plan the faults of a run and their times. The seed determines all of them."""

import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of faults: an action and the component that it affects."""

    KILL_WORKER = "kill -9 a worker"
    KILL_OPERATOR = "kill -9 the operator"
    KILL_ARCHIVER = "kill -9 the archiver"
    KILL_API = "kill -9 the API"
    KILL_MINIO = "kill -9 MinIO"
    KILL_APISERVER = "kill -9 the API server"
    PAUSE_OPERATOR = "pause the operator"


MIX = Counter(
    {
        Kind.KILL_WORKER: 12,
        Kind.KILL_OPERATOR: 7,
        Kind.KILL_ARCHIVER: 3,
        Kind.KILL_API: 5,
        Kind.KILL_MINIO: 5,
        Kind.KILL_APISERVER: 1,
        Kind.PAUSE_OPERATOR: 2,
    }
)

RUN_SECONDS = 150.0
"""Length of the period during which faults are injected."""

FIRST_SECONDS = 3.0
"""Minimum time before the first fault. By then, some images are already in progress."""

PAUSE_SECONDS = (21.0, 25.0)
"""Minimum and maximum duration of a pause. During a pause, the operator's Lease expires (20 s) and
attempts reach their timeout (15 s), but the liveness probe does not fail yet (30 s)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault to inject."""

    at: float
    """Time in seconds after the start of the run."""
    kind: Kind
    pick: float
    """Number from 0 to 1 that selects one of several pods."""
    seconds: float = 0.0
    """Duration of a pause in seconds; 0 for other faults."""


def plan(seed: int) -> list[Fault]:
    """Return the faults of the run with this seed, sorted by time."""
    dice = random.Random(seed)  # noqa: S311 (runs must be repeatable)
    return sorted((_fault(kind, dice) for kind in MIX.elements()), key=lambda fault: fault.at)


def _fault(kind: Kind, dice: random.Random) -> Fault:
    pause = dice.uniform(*PAUSE_SECONDS) if kind is Kind.PAUSE_OPERATOR else 0.0
    return Fault(dice.uniform(FIRST_SECONDS, RUN_SECONDS - pause), kind, dice.random(), pause)
