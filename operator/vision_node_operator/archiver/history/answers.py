"""What the history's store returns."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Owner:
    """The row of the table owner."""

    uid: str
    written: int
    resource_version: int


@dataclass(frozen=True, slots=True)
class ExpiredJob:
    """A job whose data is to be deleted."""

    uid: str
    name: str
    image_key: str | None
    result_key: str | None


@dataclass(frozen=True, slots=True)
class ArchivedBatch:
    """A row of the table batches, without the body."""

    uid: str
    name: str
    archived_index: int
    evicted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of writing rows."""

    rows: int
    """Number of new rows. Rows that existed before, or have a tombstone, are not among them."""
    refused: int
    """Number of rows that were stored without their result, because PostgreSQL refused it, or that
    could not be stored at all."""
    counter: int = field(default=0, compare=False)
    """The number of rows and marks that were ever written, afterward; 0 if nothing was written."""
