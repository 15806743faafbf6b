"""Build and write core/v1 Events (see `kubectl describe`) for changes that may require action."""

import logging
from datetime import datetime

from vision_node_contract.batch_uploads import UPLOAD_SECONDS
from vision_node_contract.clients.kube import AlreadyExistsError, Kube, KubeError
from vision_node_contract.json_types import Json
from vision_node_contract.models.describer import Describer, DescriberStatus
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import Condition, ImageJob, ObjectMeta
from vision_node_contract.models.reasons import BatchReason, ReadyReason, Reason
from vision_node_contract.names import BATCH_KIND, DESCRIBER_KIND, GROUP, KIND, VERSION

log = logging.getLogger(__name__)

COMPONENT = "vision-node-operator"

ARCHIVER = "vision-node-archiver"
"""The component that reports what it did with an ImageBatch's manifest."""

MAX_MESSAGE_CHARACTERS = 1024
"""The API server's limit on the length of an Event's message."""

MAX_NAME_CHARACTERS = 253
"""The API server's limit on the length of an Event's name."""

NORMAL_REASONS = frozenset(
    {
        ReadyReason.SERVING,
        ReadyReason.IDLE,
        ReadyReason.STARTING,
        Reason.CANCELLED,
        BatchReason.MANIFEST_FROZEN,
        BatchReason.NOT_WAITING,
        BatchReason.SUSPENDED,
        BatchReason.RESUMED,
        BatchReason.COMPLETED,
    }
)
"""Reasons of Events whose type is Normal. Events with any other reason are of type Warning."""


async def emit(kube: Kube, namespace: str, event: Json) -> None:
    """Create an Event.

    A failure is only logged, because the object's status has the same information.
    """
    try:
        await kube.request("POST", f"/api/v1/namespaces/{namespace}/events", body=event)
    except AlreadyExistsError:
        return  # an earlier process was stopped right after creating it
    except KubeError as error:
        log.warning("could not write Event %s: %s", event["metadata"]["name"], error)


def of_failure(job: ImageJob, now: datetime) -> Json:
    """Return the Event for a failed ImageJob.

    The Event's name is fixed, so an ImageJob can't have more than one.
    """
    error = job.status.error
    reason, message = (error.reason, error.message) if error else ("Failed", "")
    event = _event(KIND, job.metadata, reason, message, now)
    return event | _metadata(job.metadata, job.metadata.uid)


def of_condition(describer: Describer, status: DescriberStatus, now: datetime) -> Json:
    """Return the Event for a Describer whose condition Ready has changed."""
    meta, ready = describer.metadata, status.readiness
    reason, message = (ready.reason, ready.message) if ready else ("", "")
    event = _event(DESCRIBER_KIND, meta, reason, message, now)
    return event | _metadata(meta, meta.resource_version)


def of_batch(batch: ImageBatch, condition: Condition, now: datetime) -> Json:
    """Return the Event for an ImageBatch whose condition has changed."""
    meta = batch.metadata
    event = _event(BATCH_KIND, meta, condition.reason, condition.message, now)
    return event | _metadata(meta, f"{meta.resource_version}.{condition.type.lower()}")


def of_expired_upload(batch: ImageBatch, now: datetime) -> Json:
    """Return the Event for an ImageBatch that was deleted because it was not uploaded in time.

    Its name is fixed, so an ImageBatch can't have more than one.
    """
    meta, reason = batch.metadata, BatchReason.UPLOAD_EXPIRED
    message = (
        f"deleted with its images, because the upload was not complete {UPLOAD_SECONDS // 3600} h "
        "after the creation of the batch: upload the images to another batch"
    )
    event = _event(BATCH_KIND, meta, reason, message, now)
    return event | _metadata(meta, f"{meta.uid}.{reason.lower()}")


def of_manifest(batch: ImageBatch, reason: str, message: str, now: datetime) -> Json:
    """Return the Event for an ImageBatch whose manifest has been frozen, or can't be.

    Its name is fixed, so an ImageBatch can't have more than one with this reason.
    """
    event = _event(BATCH_KIND, batch.metadata, reason, message, now)
    reporter = {"source": {"component": ARCHIVER}, "reportingComponent": ARCHIVER}
    return event | reporter | _metadata(batch.metadata, f"{batch.metadata.uid}.{reason.lower()}")


def _metadata(about: ObjectMeta, suffix: str) -> Json:
    name = about.name[: MAX_NAME_CHARACTERS - len(suffix) - 1]
    return {"metadata": {"name": f"{name}.{suffix}"}}


def _event(kind: str, about: ObjectMeta, reason: str, message: str, now: datetime) -> Json:
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    involved_object = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": kind,
        "namespace": about.namespace,
        "name": about.name,
        "uid": about.uid,
        "resourceVersion": about.resource_version,
    }

    return {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": involved_object,
        "type": "Normal" if reason in NORMAL_REASONS else "Warning",
        "reason": reason,
        "message": message[:MAX_MESSAGE_CHARACTERS],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
