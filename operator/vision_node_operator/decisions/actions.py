"""What can be done: decide() answers with these, the writer performs them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from vision_node_contract.models.describer import DescriberStatus
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import Reason

from ..state.pools import Pool
from ..state.state import key


@dataclass(frozen=True, slots=True)
class Assign:
    """Bind a queued ImageJob to a worker (pod name); its deadline starts when that is written."""

    job: ImageJob
    worker: str
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class Requeue:
    """Take an ImageJob back from its worker; it may be assigned again at `next_attempt`."""

    job: ImageJob
    reason: Reason
    message: str
    next_attempt: datetime
    lost: bool = False
    """Infrastructure ended the attempt: it costs nothing."""
    suspect: bool = False
    """Its worker was killed, perhaps by this image: it is tried alone from now on."""


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


@dataclass(frozen=True, slots=True)
class Cordon:
    """Assign nothing more to a worker (pod name) that may be broken. Only the operator's memory."""

    worker: str


@dataclass(frozen=True, slots=True)
class Report:
    """Write a Describer's status, and with `tell` an Event that its condition Ready has changed."""

    pool: Pool
    status: DescriberStatus
    tell: bool


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell in an Event that an ImageJob has failed."""

    job: ImageJob


Write = Assign | Requeue | Fail | Expire | Launch | Retire | Report | Announce
Action = Write | Cordon


def target(action: Write) -> str:
    """Return the key (see state.key) of the object that the action writes."""
    match action:
        case Assign() | Requeue() | Fail():
            return key("imagejobs", action.job.metadata.name)
        case Expire():
            return key("imagejobs", action.name)
        case Launch() | Retire():
            return key("jobs", action.name)
        case Report():
            return key("describers", action.pool.describer)
        case Announce():
            return f"events/{action.job.metadata.name}"
