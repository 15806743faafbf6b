"""Plan the faults of a run and their times. The seed determines all of them."""

import random
from collections import Counter
from collections.abc import Iterator
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
    KILL_POSTGRES = "kill -9 PostgreSQL"
    PAUSE_POSTGRES = "pause PostgreSQL"
    FILL_POSTGRES = "fill PostgreSQL's disk"
    SLOW_POSTGRES = "slow down PostgreSQL"
    CLOSE_POSTGRES = "close PostgreSQL"
    RESTORE_POSTGRES = "restore PostgreSQL"


DATABASE_KINDS = frozenset(
    {
        Kind.KILL_POSTGRES,
        Kind.PAUSE_POSTGRES,
        Kind.FILL_POSTGRES,
        Kind.SLOW_POSTGRES,
        Kind.CLOSE_POSTGRES,
        Kind.RESTORE_POSTGRES,
    }
)
"""Faults that affect the history only: images are described meanwhile."""

MIX = Counter(
    {
        Kind.KILL_WORKER: 12,
        Kind.KILL_OPERATOR: 7,
        Kind.KILL_ARCHIVER: 12,
        Kind.KILL_API: 5,
        Kind.KILL_MINIO: 5,
        Kind.KILL_APISERVER: 1,
        Kind.PAUSE_OPERATOR: 2,
        Kind.KILL_POSTGRES: 3,
        Kind.PAUSE_POSTGRES: 2,
        Kind.FILL_POSTGRES: 1,
        Kind.SLOW_POSTGRES: 1,
        Kind.CLOSE_POSTGRES: 1,
        Kind.RESTORE_POSTGRES: 1,
    }
)

RUN_SECONDS = 200.0
"""Length of the period during which faults are injected."""

FIRST_SECONDS = 3.0
"""Minimum time before the first fault. By then, some images are already in progress."""

PAUSE_SECONDS = (21.0, 25.0)
"""Minimum and maximum duration of a pause. During a pause, the operator's Lease expires (20 s) and
attempts reach their timeout (15 s), but the liveness probe does not fail yet (30 s)."""

RECOVERY_SECONDS = 4.0
"""Minimum time from the end of a fault of PostgreSQL to the next one, so that some rows are
written in between."""

RESTORE_SECONDS = 135.0
"""Time at which PostgreSQL is copied, shortly before it is restored. All other faults of PostgreSQL
are over by then, because a copy can't be made during one."""

DATABASE_SECONDS = (7.0, 10.0)
"""Minimum and maximum duration of a fault of PostgreSQL. The liveness probe does not fail yet."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault to inject."""

    at: float
    """Time in seconds after the start of the run."""
    kind: Kind
    pick: float
    """Number from 0 to 1 that selects one of several pods."""
    seconds: float = 0.0
    """Duration in seconds of a fault that lasts; 0 for other faults."""


def plan(seed: int) -> list[Fault]:
    """Return the faults of the run with this seed, sorted by time."""
    dice = random.Random(seed)  # noqa: S311 (runs must be repeatable)
    others = [kind for kind in MIX.elements() if kind not in DATABASE_KINDS]
    faults = [*(_fault(kind, dice) for kind in others), *_database_faults(dice)]
    return sorted(faults, key=lambda fault: fault.at)


def _fault(kind: Kind, dice: random.Random) -> Fault:
    pause = dice.uniform(*PAUSE_SECONDS) if kind is Kind.PAUSE_OPERATOR else 0.0
    return Fault(dice.uniform(FIRST_SECONDS, RUN_SECONDS - pause), kind, dice.random(), pause)


def _database_faults(dice: random.Random) -> Iterator[Fault]:
    """Yield PostgreSQL's faults in a random order. Each has a period of time of its own."""
    kinds = [it for it in MIX.elements() if it in DATABASE_KINDS - {Kind.RESTORE_POSTGRES}]
    dice.shuffle(kinds)
    period = (RESTORE_SECONDS - FIRST_SECONDS) / len(kinds)

    for number, kind in enumerate(kinds):
        lasting = 0.0 if kind is Kind.KILL_POSTGRES else dice.uniform(*DATABASE_SECONDS)
        start = FIRST_SECONDS + number * period
        # What a fault leaves behind takes a few seconds, too.
        latest = start + period - DATABASE_SECONDS[1] - RECOVERY_SECONDS
        yield Fault(dice.uniform(start, latest), kind, 0, lasting)

    yield Fault(RESTORE_SECONDS, Kind.RESTORE_POSTGRES, 0)
