"""The faults of a run and their times, all derived from the seed."""

import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of faults: an action and the component that it affects."""

    KILL_WORKER = "kill -9 a worker"
    KILL_OPERATOR = "kill -9 the operator"
    KILL_API = "kill -9 the API"
    KILL_MINIO = "kill -9 MinIO"
    KILL_APISERVER = "kill -9 the API server"
    PAUSE_OPERATOR = "pause the operator"


MIX = Counter(
    {
        Kind.KILL_WORKER: 12,
        Kind.KILL_OPERATOR: 7,
        Kind.KILL_API: 5,
        Kind.KILL_MINIO: 5,
        Kind.KILL_APISERVER: 1,
        Kind.PAUSE_OPERATOR: 2,
    }
)

RUN_SECONDS = 150.0
"""Period during which faults are injected."""

FIRST_SECONDS = 3.0
"""Time before the first fault, so that some work is in progress."""

PAUSE_SECONDS = (21.0, 25.0)
"""Minimum and maximum pause: longer than the operator trusts a Lease that is not renewed (20 s) and
than an attempt may take (15 s), but shorter than the limit of its liveness probe (30 s)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault to inject."""

    at: float
    """Time in seconds after the start."""
    kind: Kind
    pick: float
    """Number from 0 to 1 that selects one of several pods."""
    seconds: float = 0.0
    """Duration of a pause."""


def plan(seed: int) -> list[Fault]:
    """Return the faults of the run with this seed, in order."""
    dice = random.Random(seed)  # noqa: S311 (repeatable is the point)
    return sorted((_fault(kind, dice) for kind in MIX.elements()), key=lambda fault: fault.at)


def _fault(kind: Kind, dice: random.Random) -> Fault:
    pause = dice.uniform(*PAUSE_SECONDS) if kind is Kind.PAUSE_OPERATOR else 0.0
    return Fault(dice.uniform(FIRST_SECONDS, RUN_SECONDS - pause), kind, dice.random(), pause)
