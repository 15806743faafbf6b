"""Which faults a run injects, and when: all of it follows from the seed."""

import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is done to which part."""

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
"""Over which the faults are spread."""

FIRST_SECONDS = 3.0
"""Before the first: something is to be under way."""

PAUSE_SECONDS = (21.0, 25.0)
"""Longer than the operator believes a silent Lease (20 s) and than kubectl's jobs may take (15 s),
shorter than its liveness probe's patience (30 s)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at: float
    """Seconds after the start."""
    kind: Kind
    pick: float
    """Which of several, from 0 to 1."""
    seconds: float = 0.0
    """How long a pause lasts."""


def plan(seed: int) -> list[Fault]:
    """The faults of the run with that seed, in order."""
    dice = random.Random(seed)  # noqa: S311 (repeatable is the point)
    return sorted((_fault(kind, dice) for kind in MIX.elements()), key=lambda fault: fault.at)


def _fault(kind: Kind, dice: random.Random) -> Fault:
    pause = dice.uniform(*PAUSE_SECONDS) if kind is Kind.PAUSE_OPERATOR else 0.0
    return Fault(dice.uniform(FIRST_SECONDS, RUN_SECONDS - pause), kind, dice.random(), pause)
