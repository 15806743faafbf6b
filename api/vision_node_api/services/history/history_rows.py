"""Rows that the history returns, and the objects that are read from them."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vision_node_contract.history.schema import SINGLE
from vision_node_contract.models.description import Result
from vision_node_contract.models.imagejob import ImageJob


class Position(NamedTuple):
    """The place of an image in a list, which is sorted from the newest to the oldest."""

    at: datetime
    uid: str
    """UID in its canonical form, in which texts sort like UIDs."""
    image_index: int = SINGLE


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
    is_deleted: bool
    """Whether there is a tombstone, so that the image must not be shown."""

    @property
    def position(self) -> Position:
        """The place of the image in lists."""
        return Position(self.at, str(self.uid), self.image_index)
