"""Store the results of a shard, and commit its outcome."""

import asyncio
import hashlib
import logging
from datetime import UTC, datetime

from vision_node_contract.batch_objects import BatchFolder
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import backoff
from vision_node_contract.models import transitions
from vision_node_contract.models.imagejob import ShardOutcome
from vision_node_contract.models.reasons import Reason
from vision_node_contract.models.shard import Shard

from ..image_describer import Failure
from ..outcome import OutcomeWriter, failure
from .results import ShardResults, stop
from .shard_run import ShardRun

log = logging.getLogger(__name__)

MAX_STORE_ATTEMPTS = 4
"""Maximum number of attempts to store the results, which took seconds to make. The bucket's client
retries only refused connections."""

STORE_RETRY_SECONDS = (0.5, 4.0)
"""Initial and longest delay in seconds between two attempts to store the results."""

STORE_SECONDS = 45.0
"""Maximum seconds for storing the results, including all attempts. After the 20 s for images in
progress, a worker can still commit within the 80 s that it has to finish."""

MEDIA_TYPE = "application/jsonl"


class ShardWriter:
    """Commits the outcomes of shards that are assigned to this worker."""

    def __init__(self, imagejobs: ImageJobClient, bucket: Bucket, pod_name: str) -> None:
        self._bucket = bucket
        self._writer = OutcomeWriter(imagejobs.get_shard, imagejobs, pod_name)

    async def commit(self, shard: Shard, run: ShardRun) -> None:
        """Store the results and commit the outcome, unless the shard has been reassigned.

        Raises:
            KubeError: The API server refused the outcome, and then also the report of the refusal.
        """
        outcome = run.results.outcome(run.suspects, run.stopped)
        if run.results:
            outcome = await self._store(shard, run.results, outcome)

        await self._writer.commit(
            shard,
            lambda current: transitions.finish_shard(
                current, outcome=outcome, now=datetime.now(UTC)
            ),
        )

    async def report(self, shard: Shard, error: Exception) -> None:
        """Report an unexpected error to the operator, which lets another worker try."""
        message = f"the worker could not describe the shard: {type(error).__name__}; see its log"
        await self._writer.commit(shard, failure(Reason.DESCRIBER_FAILED, message))

    async def _store(
        self, shard: Shard, results: ShardResults, outcome: ShardOutcome
    ) -> ShardOutcome:
        """Return the outcome with the key of the results.

        If they can't be stored, no image has ended, and all are left to other shards.
        """
        images = shard.spec.images
        folder = BatchFolder(self._bucket.folders, images.batch_uid)
        key = folder.results(images.first, shard.metadata.uid, shard.status.attempts)
        data = results.to_bytes()
        sha256 = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())

        try:
            async with asyncio.timeout(STORE_SECONDS):
                await self._put(key, data, sha256)
        except TimeoutError:
            message = f"storage did not accept the results within {STORE_SECONDS:g} s"
            return _nothing_ended(shard, outcome, Failure(Reason.STORAGE_UNAVAILABLE, message))
        except StoreUnavailableError as error:
            return _nothing_ended(shard, outcome, Failure(error.reason, str(error)))

        place = {"key": key, "sha256": sha256, "size_bytes": len(data)}
        return outcome.model_copy(update=place)

    async def _put(self, key: str, data: bytes, sha256: str) -> None:
        failures = 0
        while True:
            try:
                await self._bucket.put(key, data, MEDIA_TYPE, sha256)
            except StoreUnavailableError:
                failures += 1
                if failures == MAX_STORE_ATTEMPTS:
                    raise
                await asyncio.sleep(backoff(failures - 1, *STORE_RETRY_SECONDS))
            else:
                return


def _nothing_ended(shard: Shard, outcome: ShardOutcome, failure: Failure) -> ShardOutcome:
    """Return the outcome of a shard whose results could not be stored."""
    log.warning("shard %s: its results are lost: %s", shard.metadata.name, failure.message)
    return ShardOutcome(
        done=0,
        failed=0,
        rest=str(shard.range),
        suspects=outcome.suspects,
        stopped=stop(failure),
    )
