"""The state and the result of one image of an ImageBatch, by `<batch>.<index>`."""

import logging
import re
from dataclasses import dataclass, field
from typing import Any

from vision_node_contract.batch_objects import LineError, ResultLine
from vision_node_contract.clients.batch_results import CHANGED, GONE
from vision_node_contract.history.database import HistoryError
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import TERMINAL, ObjectMeta, Phase
from vision_node_contract.models.reasons import Reason

from ...web.problems import Problem
from .batches import Batches
from .result_finder import ResultFinder

log = logging.getLogger(__name__)

_ID = re.compile(r"(.+)\.(0|[1-9][0-9]{0,8})", re.ASCII)

_STATUS = {GONE: 410, CHANGED: 502}
"""HTTP status for a result that was lost, by reason; 409 for images that have failed."""


@dataclass(frozen=True, slots=True)
class BatchImage:
    """An image of an ImageBatch."""

    batch: ImageBatch
    index: int
    phase: Phase
    line: ResultLine | None = None
    """The outcome; None if there is none yet."""

    @property
    def error(self) -> LineError | None:
        """Why the image has failed."""
        return self.line.error if self.line else None

    @property
    def metadata(self) -> ObjectMeta:
        """The metadata of the batch."""
        return self.batch.metadata

    @property
    def finished(self) -> bool:
        """Whether the image is done or has failed."""
        return self.phase in TERMINAL


@dataclass(frozen=True, slots=True)
class BatchImages:
    """Finds images of ImageBatches."""

    batches: Batches
    finder: ResultFinder = field(init=False)

    def __post_init__(self) -> None:
        finder = ResultFinder(self.batches.bucket, self.batches.storage)
        object.__setattr__(self, "finder", finder)

    async def find(self, job_id: str) -> BatchImage | None:
        """Return an image by `<batch>.<index>`; None if there is no such batch or image.

        Raises:
            Problem: as for `Batches.get`, except for 400 and 404; 503 with one of STORAGE_REASONS.
        """
        match = _ID.fullmatch(job_id)
        if match is None or self.batches.follower.refusal:
            return None

        try:
            batch = await self.batches.get(match[1])
        except Problem as problem:
            if problem.status in {400, 404}:
                return None
            raise

        return await self._image(batch, int(match[2]))

    async def result(self, job_id: str) -> dict[str, Any] | None:
        """Return the complete result of an image; None if there is no such batch or image.

        Raises:
            Problem: as for `find`; 409 NotDone, or the error's reason if the image has failed; 410
                ResultGone; 502 ResultChanged.
        """
        image = await self.find(job_id)
        if image is None:
            return None

        if image.line is None:
            detail = (
                f"The image is {image.phase}. Try again later, or read the results of the batch."
            )
            raise Problem(409, "NotDone", detail, job_id=job_id, job_status=image.phase)

        if error := image.error:
            status = _STATUS.get(error.reason, 409)
            raise Problem(
                status, error.reason, error.message, job_id=job_id, job_status=image.phase
            )

        return {"job_id": job_id, "status": image.phase, **(image.line.result or {})}

    async def _image(self, batch: ImageBatch, index: int) -> BatchImage | None:
        if index >= batch.total and (batch.total or batch.finished):
            return None

        current = await self._with_counted(batch)
        if current is None:
            return None
        if current.status.phase == "done" or index in current.counted:
            line = await self._line(current, index)
            return BatchImage(current, index, "failed" if line.error else "done", line)

        return _uncounted(current, index)

    async def _with_counted(self, batch: ImageBatch) -> ImageBatch | None:
        """Return the ImageBatch with the indexes of counted images, which the cache lacks.

        Return None if it has been deleted.
        """
        is_known = batch.status.phase == "done" or batch.status.counted is not None
        if is_known or not batch.index:
            return batch

        current = await self.batches.current(batch.metadata.name)
        return current if current.metadata.uid == batch.metadata.uid else None

    async def _line(self, batch: ImageBatch, index: int) -> ResultLine:
        """Return the outcome of a counted image, from the history or else from the bucket."""
        archived = await self._archived(batch.metadata.uid, index)
        return archived or await self.finder.find(batch, index)

    async def _archived(self, uid: str, index: int) -> ResultLine | None:
        """Return the outcome of an image from the history, where it is found by its key.

        Return None if it is not there, or if the history is unavailable: it is in the bucket, too.
        """
        if self.batches.history is None:
            return None

        try:
            row = await self.batches.history.find_image(uid, index)
            return row.line() if row else None
        except (HistoryError, ValueError) as error:
            log.debug("image %d of ImageBatch %s in the history: %s", index, uid, error)
            return None


def _uncounted(batch: ImageBatch, index: int) -> BatchImage:
    """Return an image that has no outcome."""
    if batch.finished:
        failed = batch.status.true_condition("Failed")
        reason = failed.reason if failed else Reason.WORKER_LOST
        message = "The batch ended before this image was described."
        error = LineError(reason=reason, message=message)
        return BatchImage(
            batch, index, "failed", ResultLine(index=index, custom_id="", error=error)
        )

    stands_still = batch.spec.suspend or batch.status.true_condition("Waiting")
    is_queued = batch.status.phase == "queued" or stands_still
    return BatchImage(batch, index, "queued" if is_queued else "processing")
