"""What can be done: decide() answers with these, the writer performs them."""

from dataclasses import dataclass
from datetime import datetime

from vision_node_contract.imagejob import ImageJob
from vision_node_contract.reasons import Reason

from .settings import Pool


@dataclass(frozen=True, slots=True)
class Assign:
    """Bind a queued ImageJob to a worker (pod name) until `deadline`."""

    job: ImageJob
    worker: str
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Requeue:
    """Take an ImageJob back from its worker; it may be assigned again at `next_attempt`."""

    job: ImageJob
    reason: Reason
    message: str
    next_attempt: datetime


@dataclass(frozen=True, slots=True)
class Fail:
    """End an ImageJob without a description."""

    job: ImageJob
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Expire:
    """Delete an ImageJob whose time to live after its end is over."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class Launch:
    """Create the describer Job `name`; its name is its slot in the pool, so it can't be made twice."""

    name: str
    pool: Pool


@dataclass(frozen=True, slots=True)
class Retire:
    """Delete a describer Job that holds nothing (or has ended)."""

    name: str


Action = Assign | Requeue | Fail | Expire | Launch | Retire


def target(action: Action) -> str:
    """Return the name of the object that the action writes."""
    match action:
        case Assign() | Requeue() | Fail():
            return action.job.metadata.name
        case Expire() | Launch() | Retire():
            return action.name
