"""Rows that the history returns, and the objects that are read from them."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

from vision_node_contract.batch_objects import ResultLine
from vision_node_contract.history.schema import SINGLE
from vision_node_contract.models.description import Result
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob


class Position(NamedTuple):
    """The place of an image in a list, which is sorted from the newest to the oldest."""

    at: datetime
    uid: str
    """UID in its canonical form, in which texts sort like UIDs."""
    image_index: int = SINGLE


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """What was found in a part of a list."""

    found: list[T]
    reached: Position | None
    """The place down to which everything was looked at; None if that is the end of the list."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """A finished single image, as it was archived."""

    uid: UUID
    body: str
    result: str | None
    archive_error: str | None

    def job(self) -> ImageJob:
        """Return the ImageJob. If the row has its result, the status contains it.

        Raises:
            ValueError: This version can't read the row.
        """
        job = ImageJob.model_validate_json(self.body)
        stored = job.status.result
        if self.result is None or stored is None:
            return job

        inline = stored.model_copy(update={"inline": Result.model_validate_json(self.result)})
        status = job.status.model_copy(update={"result": inline})
        return job.model_copy(update={"status": status})


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image in a list: a finished single image, or an image of a batch."""

    uid: UUID
    image_index: int
    at: datetime
    name: str
    custom_id: str | None
    describer: str
    phase: str
    reason: str | None
    excerpt: str
    is_hidden: bool
    """Whether the image must not be shown, because there is a tombstone or it is not wanted."""

    @property
    def position(self) -> Position:
        """The place of the image in lists."""
        return Position(self.at, str(self.uid), self.image_index)


@dataclass(frozen=True, slots=True)
class FullRow:
    """An image with everything that the history has of it."""

    uid: UUID
    image_index: int
    body: str
    result: str | None
    archive_error: str | None

    @property
    def key(self) -> tuple[str, int]:
        """What identifies the row."""
        return str(self.uid), self.image_index

    @property
    def as_job(self) -> JobRow:
        """The same as the row of a single image."""
        return JobRow(self.uid, self.body, self.result, self.archive_error)

    @property
    def as_batch_image(self) -> "BatchImageRow":
        """The same as the row of an image of a batch."""
        return BatchImageRow(self.body, self.result)


@dataclass(frozen=True, slots=True)
class BatchQuery:
    """Which finished ImageBatches to list."""

    before: Position
    """The place after which the list begins."""
    limit: int
    phase: Literal["done", "failed"] | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A finished ImageBatch, as it was archived."""

    uid: UUID
    created_at: datetime
    body: str

    @property
    def position(self) -> Position:
        """The place of the ImageBatch in lists."""
        return Position(self.created_at, str(self.uid))

    def batch(self) -> ImageBatch:
        """Return the ImageBatch.

        Raises:
            ValueError: This version can't read the row.
        """
        return ImageBatch.model_validate_json(self.body)


@dataclass(frozen=True, slots=True)
class BatchImageRow:
    """An image of an ImageBatch, as it was archived."""

    body: str
    """The line of the results, without the result."""
    result: str | None
    """The result as JSON; None if there is none, or if it is only in the bucket."""

    def line(self) -> ResultLine | None:
        """Return the line of the results; None if its result is only in the bucket.

        Raises:
            ValueError: This version can't read the row.
        """
        line = self.any_line()
        return line if line.result is not None or line.error else None

    def any_line(self) -> ResultLine:
        """Return the line of the results. It has no result if that is only in the bucket.

        Raises:
            ValueError: This version can't read the row.
        """
        line = ResultLine.model_validate_json(self.body)
        if self.result is None:
            return line

        return line.model_copy(update={"result": json.loads(self.result)})
