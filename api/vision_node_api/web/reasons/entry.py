"""What the register says about one reason."""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus


class Place(StrEnum):
    """Where a reason appears, apart from problem documents."""

    JOB = "the error of a failed job or image"
    FILE = "a refused file of an upload"
    BATCH = "the error of a failed batch"
    WAITING = "why a job or a batch is waiting"
    EVENT = "an event `reset`"
    EXPORT = "a job of an export without its result"


@dataclass(frozen=True, slots=True)
class ReasonEntry:
    """A reason, and what its reader has to know. The texts are complete sentences.

    Attributes:
        reason: Word in CamelCase, which never changes.
        statuses: HTTP statuses of problem documents with this reason; empty if there are none.
        title: A few words, which are the same in each problem document with this reason.
        happened: What happened, without the names and values that a problem's detail has.
        remedy: What to do.
        repeatable: Whether the same request may succeed later without a change of it.
        places: Where else the reason appears.
    """

    reason: str
    statuses: tuple[int, ...]
    title: str
    happened: str
    remedy: str
    repeatable: bool = False
    places: tuple[Place, ...] = ()

    @property
    def repetition(self) -> str:
        """A sentence that says whether a repetition can help."""
        if self.repeatable:
            return "The same request may succeed later."
        return "The same request would fail again."

    @property
    def where(self) -> list[str]:
        """All places where the reason appears."""
        statuses = [f"{status} {HTTPStatus(status).phrase}" for status in self.statuses]
        return [*statuses, *self.places]
