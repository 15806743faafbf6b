"""Create ImageBatches, and complete or abandon their uploads."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from vision_node_contract.clients.imagebatches import ImageBatchClient
from vision_node_contract.clients.kube import (
    AlreadyExistsError,
    ConflictError,
    KubeError,
    NotFoundError,
    QuotaError,
    UnavailableError,
)
from vision_node_contract.history.database import HistoryError
from vision_node_contract.models.imagebatch import ImageBatch, ImageBatchSpec, UploadSpec
from vision_node_contract.names import GROUP, OWNER_LABEL

from ...web.access import current_access
from ...web.problems import Problem
from ..callbacks import require_callback
from ..dependency_problems import kubernetes_unavailable
from ..job_limits import RETRY_AFTER_SECONDS
from ..job_name import request_id
from ..jobs import REPEATED_WITHIN, Jobs
from ..owners import is_visible, visible_owner
from .batch_name import new_name
from .batches import Batches, batch_problems

log = logging.getLogger(__name__)

REQUEST_LABEL = f"{GROUP}/request"
"""Label on an ImageBatch that the API has created. Its value identifies the request, by its
Idempotency-Key if it has one."""

COMPLETE_ATTEMPTS = 5
"""Number of attempts to complete an upload if the ImageBatch changes meanwhile, for example because
it is suspended."""

_NOT_COMPARED = ("upload", "describer", "ttl_seconds_after_finished", "suspend", "cancel")
"""Fields of the spec that a repeated request need not have. They change, or don't change what the
client gets, or are compared separately."""


@dataclass(frozen=True, slots=True)
class WantedBatch:
    """An ImageBatch that a client wants to have."""

    spec: ImageBatchSpec
    name: str | None = None
    """Its name; None if the client leaves it to the API."""
    describer: str | None = None
    """The Describer that the request names. If it names none, the describer of a repeated request
    is not compared, because the default may have changed since."""
    key: str | None = None
    """The Idempotency-Key."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that the client has chosen. They are not compared with those of a repeated request,
    because they don't change what the client gets."""
    owner: str = field(default_factory=lambda: current_access().owner)
    """The future owner of the ImageBatch; empty for none."""


@dataclass(frozen=True, slots=True)
class CreatedBatch:
    """An ImageBatch, and whether this request has created it."""

    batch: ImageBatch
    is_new: bool


@dataclass(frozen=True, slots=True)
class BatchCreation:
    """Creates ImageBatches. An upload is valid once `complete` has changed its ImageBatch."""

    jobs: Jobs
    batches: Batches
    client: ImageBatchClient

    async def create(self, wanted: WantedBatch) -> CreatedBatch:
        """Create an ImageBatch, or return the one that the same request has already created.

        Raises:
            Problem: 409 BatchExists; 422 IdempotencyKeyReused, BatchRefused, OptionsInvalid, or as
                for require_callback; 429 QuotaExceeded, TooManyJobsOfOwner, DailyBytesUsed,
                DailyTokensUsed; 502 BatchUnreadable; 503 BatchesUnavailable, KubernetesUnavailable.
        """
        require_callback(wanted.spec.callback_url, self.jobs.settings.callbacks)
        self.batches.require_watch()
        request = request_id(wanted.key, wanted.owner)
        name = _name_of(wanted, request)

        if existing := await self._find(name, wanted, request):
            return CreatedBatch(existing, is_new=False)

        await self.jobs.quotas.require_batch(wanted.spec.describer)
        return await self._create(name, wanted, request)

    async def find(self, wanted: WantedBatch) -> ImageBatch | None:
        """Return the ImageBatch that the same request has already created; None if there is none.

        Raises:
            Problem: as for `create`.
        """
        self.batches.require_watch()
        request = request_id(wanted.key, wanted.owner)
        return await self._find(_name_of(wanted, request), wanted, request)

    async def complete(self, batch: ImageBatch, attempt: str | None, lists: int) -> ImageBatch:
        """Complete an upload, so that its images are described, and return the ImageBatch.

        If another attempt was the first to be complete, the ImageBatch names that one.

        Args:
            batch: The ImageBatch.
            attempt: The attempt that has uploaded the images; None if they were uploaded alone.
            lists: Number of lists that the attempt has stored.

        Raises:
            Problem: 404 BatchNotFound if it has been deleted meanwhile; 502 BatchUnreadable; 503
                KubernetesUnavailable, after which the upload may be complete or not.
        """
        upload = UploadSpec(complete=True, attempt=attempt, lists=lists).to_json()
        for _ in range(COMPLETE_ATTEMPTS):
            try:
                return await self.client.patch_spec(
                    batch.metadata, {"upload": upload}, unchanged=True
                )
            except (ConflictError, NotFoundError, UnavailableError) as error:
                log.info("completing ImageBatch %s again: %s", batch.metadata.name, error)
            except KubeError as error:
                raise refused_by_kubernetes(error) from error

            batch = await self._current(batch)
            if not batch.is_being_uploaded:
                return batch

        raise kubernetes_unavailable()

    async def abandon(self, batch: ImageBatch) -> None:
        """Delete an ImageBatch whose upload has failed.

        If this fails, it is deleted later, because its upload is not complete.
        """
        try:
            await self.client.delete(batch.metadata)
        except (ConflictError, NotFoundError):
            log.info("ImageBatch %s has already been deleted", batch.metadata.name)
        except KubeError as error:
            log.warning("ImageBatch %s could not be deleted: %s", batch.metadata.name, error)

    async def read(self, name: str) -> ImageBatch | None:
        """Return an ImageBatch from the API server; None if it does not exist.

        Raises:
            Problem: 502 BatchUnreadable; 503 KubernetesUnavailable.
        """
        found = await self._read(name)
        return found if found and is_visible(found) else None

    async def _read(self, name: str) -> ImageBatch | None:
        """Return an ImageBatch of any owner from the API server; None if it does not exist."""
        try:
            with batch_problems(name):
                return await self.client.get(name)
        except NotFoundError:
            return None

    async def _find(self, name: str, wanted: WantedBatch, request: str) -> ImageBatch | None:
        if not wanted.name and not wanted.key:
            return None  # the name is random

        existing = await self._read(name)
        if existing is None and wanted.key:
            existing = await self._archived_recently(name)
        if existing:
            _require_same_request(existing, wanted, request)

        return existing

    async def _create(self, name: str, wanted: WantedBatch, request: str) -> CreatedBatch:
        owner = {OWNER_LABEL: wanted.owner} if wanted.owner else {}
        labels = {**wanted.labels, **owner, REQUEST_LABEL: request}
        try:
            created = await self.client.create(name, wanted.spec, labels)
        except (AlreadyExistsError, UnavailableError) as error:
            # Another request has created it, or the answer was lost.
            existing = await self._read(name)
            if existing is None:
                raise kubernetes_unavailable() from error

            _require_same_request(existing, wanted, request)
            return CreatedBatch(existing, is_new=wanted.key is None)
        except KubeError as error:
            raise refused_by_kubernetes(error) from error

        return CreatedBatch(created, is_new=True)

    async def _current(self, known: ImageBatch) -> ImageBatch:
        """Return an ImageBatch as it is now."""
        found = await self.read(known.metadata.name)
        if found is None or found.metadata.uid != known.metadata.uid:
            raise deleted_meanwhile()

        return found

    async def _archived_recently(self, name: str) -> ImageBatch | None:
        """Return an ImageBatch from the history that may be repeated by its Idempotency-Key.

        While the history is unavailable, there is none: uploads must go on.
        """
        history = self.batches.history
        if history is None:
            return None

        try:
            found = await history.find_batch(name, visible_owner())
        except (HistoryError, ValueError) as error:
            log.warning("the history can't tell whether %s exists: %s", name, error)
            return None

        created = found.metadata.creation_timestamp if found else None
        is_recent = created is not None and datetime.now(UTC) - created < REPEATED_WITHIN
        return found if is_recent else None


def _name_of(wanted: WantedBatch, request: str) -> str:
    return new_name(wanted.name) if wanted.name else f"batch-{request}"


def deleted_meanwhile() -> Problem:
    """Return the problem for an upload whose ImageBatch has been deleted."""
    detail = "The batch was deleted while its images were being uploaded."
    return Problem(404, "BatchNotFound", detail)


def refused_by_kubernetes(error: KubeError) -> Problem:
    """Return the problem for an ImageBatch that the API server did not create or change."""
    what = error.message.rstrip(".")
    match error:
        case QuotaError():
            detail = (
                f"A quota allows no more ImageBatches: {what}. Try again later; an administrator "
                "can delete finished batches or raise the quota."
            )
            headers = {"Retry-After": RETRY_AFTER_SECONDS}
            return Problem(429, "QuotaExceeded", detail, headers=headers)
        case ConflictError() | UnavailableError():
            # A conflict: too many concurrent requests changed the status of a ResourceQuota.
            return kubernetes_unavailable()
        case _:
            return Problem(422, "BatchRefused", f"Kubernetes refused the ImageBatch: {what}.")


def _require_same_request(batch: ImageBatch, wanted: WantedBatch, request: str) -> None:
    """Refuse the name of another batch, and an idempotency key of a different request.

    Raises:
        Problem: 409 BatchExists; 422 IdempotencyKeyReused.
    """
    name = batch.metadata.name
    is_same = batch.metadata.labels.get(REQUEST_LABEL) == request
    if is_same and not is_visible(batch):  # its owner was changed
        detail = "This Idempotency-Key was already used for another batch. Use a new key."
        raise Problem(422, "IdempotencyKeyReused", detail)
    if not is_same:
        detail = f"A batch named {name} already exists. Choose another name, or delete that batch."
        raise Problem(409, "BatchExists", detail)

    before, now = _compared(batch.spec), _compared(wanted.spec)
    if before != now or wanted.describer not in (None, batch.spec.describer):
        detail = (
            f"Batch {name} already used this Idempotency-Key with another source of images or "
            "different options. Use a new key."
        )
        raise Problem(422, "IdempotencyKeyReused", detail)


def _compared(spec: ImageBatchSpec) -> dict[str, Any]:
    """Return the part of a spec in which repeated requests are the same."""
    is_upload = {"is_upload": spec.upload is not None}
    return spec.model_dump(exclude=set(_NOT_COMPARED)) | is_upload
