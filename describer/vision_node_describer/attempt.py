"""Make one attempt at an ImageJob with a single image, and commit the outcome."""

import json
import logging
from datetime import UTC, datetime

from vision_node_contract.bucket_keys import INLINE_RESULT_BYTES, ResultObject
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.models import transitions
from vision_node_contract.models.description import Result
from vision_node_contract.models.imagejob import ImageJob

from .describe_slots import DescribeSlots
from .image_describer import ImageDescriber
from .image_task import ImageTask
from .outcome import Outcome, OutcomeWriter, failure

log = logging.getLogger(__name__)


class AttemptRunner:
    """Makes any number of concurrent attempts at single images."""

    def __init__(
        self,
        imagejobs: ImageJobClient,
        bucket: Bucket,
        images: ImageDescriber,
        slots: DescribeSlots,
    ) -> None:
        self._bucket = bucket
        self._images = images
        self._slots = slots
        self._writer = OutcomeWriter(imagejobs.get, imagejobs, images.settings.pod_name)

    async def attempt(self, job: ImageJob) -> None:
        """Describe the image of an ImageJob assigned to this worker, and commit the outcome.

        This method never raises an error. If the attempt times out, the timeout is committed
        immediately. The method still does not return until the attempt's threads have ended,
        because they hold memory and the worker must notice if they hang.
        """
        task = ImageTask.of(job, self._images.settings)
        with self._slots.single():
            try:
                outcome = await self._process(job, task)
                await self._writer.commit(job, outcome)
            except Exception:
                # Other attempts continue. The operator requeues this ImageJob at its deadline.
                log.exception("ImageJob %s: the attempt was abandoned", job.metadata.name)
            finally:
                await self._images.wait_for_threads(task)

    async def _process(self, job: ImageJob, task: ImageTask) -> Outcome:
        """Describe the image and store the result; convert every error to a failure."""
        try:
            return await self._store_result(job, await self._images.describe(task))
        except Exception as error:  # noqa: BLE001 (it is explained to the user or logged)
            return failure(*self._images.explain(task, error))

    async def _store_result(self, job: ImageJob, result: Result) -> Outcome:
        """Return the outcome of a successful attempt.

        A result of up to INLINE_RESULT_BYTES becomes part of the ImageJob. A larger one is stored
        in the bucket first.
        """
        data = json.dumps(result.to_json(), ensure_ascii=False, separators=(",", ":")).encode()
        stored = None
        if len(data) > INLINE_RESULT_BYTES:
            stored = ResultObject.of(job, data, self._bucket.folders)
            await self._bucket.put(stored.key, data, "application/json", stored.sha256)

        return lambda current: transitions.complete(
            current, result=result, stored=stored, now=datetime.now(UTC)
        )
