"""core/v1 Events, which `kubectl describe` shows: only for what a person may want to act upon."""

from datetime import datetime

from vision_node_contract.json_types import Json
from vision_node_contract.models.describer import Describer, DescriberStatus
from vision_node_contract.models.imagejob import ImageJob, ObjectMeta
from vision_node_contract.models.reasons import ReadyReason, Reason
from vision_node_contract.names import DESCRIBER_KIND, GROUP, KIND, VERSION

COMPONENT = "vision-node-operator"

MAX_MESSAGE_CHARACTERS = 1024
"""As the API server allows."""

MAX_NAME_CHARACTERS = 253

CALM = frozenset({ReadyReason.SERVING, ReadyReason.IDLE, ReadyReason.STARTING, Reason.CANCELLED})
"""Told, but nothing to worry about."""


def of_failure(job: ImageJob, now: datetime) -> Json:
    """Return the one Event of an ImageJob that failed; its name is the same whoever tells it."""
    error = job.status.error
    reason, message = (error.reason, error.message) if error else ("Failed", "")
    return _event(KIND, job.metadata, job.metadata.uid, reason, message, now)


def of_condition(describer: Describer, status: DescriberStatus, now: datetime) -> Json:
    """Return the Event of a Describer whose condition Ready has changed."""
    meta, ready = describer.metadata, status.readiness
    reason, message = (ready.reason, ready.message) if ready else ("", "")
    return _event(DESCRIBER_KIND, meta, meta.resource_version, reason, message, now)


def _event(
    kind: str, about: ObjectMeta, suffix: str, reason: str, message: str, now: datetime
) -> Json:
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about.name[: MAX_NAME_CHARACTERS - len(suffix) - 1]}.{suffix}"},
        "involvedObject": {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid,
            "resourceVersion": about.resource_version,
        },
        "type": "Normal" if reason in CALM else "Warning",
        "reason": reason,
        "message": message[:MAX_MESSAGE_CHARACTERS],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
