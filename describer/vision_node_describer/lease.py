"""Maintain the worker's Lease, a heartbeat that shows that the worker is ready and alive.

A running pod is not necessarily ready to work, and the kubelet probes it only every few seconds.
The operator's watch, in contrast, reports a Lease within milliseconds. A Lease that is no longer
renewed reveals a hung worker, just as a node's Lease reveals a failed node (KEP-589).
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from vision_node_contract.clients.kube import (
    AlreadyExistsError,
    Kube,
    KubeError,
    NotFoundError,
    UnavailableError,
    backoff,
)
from vision_node_contract.json_types import Json
from vision_node_contract.leases import LEASE_SECONDS, RENEW_SECONDS, leases_path
from vision_node_contract.models.transitions import timestamp
from vision_node_contract.names import (
    ABILITIES_ANNOTATION,
    COMPONENT_LABEL,
    DESCRIBER_LABEL,
    PROGRESS_ANNOTATION,
    REQUESTS_ANNOTATION,
    SHARDS_ABILITY,
    WARNING_ANNOTATION,
    WORKER_COMPONENT,
)

from .describers import Describer
from .settings import Settings

log = logging.getLogger(__name__)

MAX_WARNING_CHARACTERS = 1024
"""Maximum length of the warnings in characters. They become the message of a condition, which
should not be longer than a few sentences."""

CREATE_RETRY_SECONDS = (0.1, 2.0)
"""Initial and longest delay in seconds between attempts to create the Lease while the API server is
unavailable."""


async def keep_lease(
    kube: Kube, settings: Settings, describer: Describer, progress: Callable[[], str | None]
) -> None:
    """Create the Lease, renew it until cancelled, and create it again if it is deleted.

    Its annotations tell the operator what the worker can do, the number of requests per image, the
    describer's current warnings, and the progress of the worker's shard.

    Raises:
        KubeError: The Lease could not be created. Without it, the worker would never be assigned an
            image.
    """
    await _create(kube, settings, _annotations(describer))

    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            renewal = {
                "metadata": {
                    "annotations": {**_annotations(describer), PROGRESS_ANNOTATION: progress()}
                },
                "spec": {"renewTime": timestamp(datetime.now(UTC))},
            }
            await kube.request(
                "PATCH", f"{leases_path(settings.namespace)}/{settings.pod_name}", body=renewal
            )
        except NotFoundError:
            await _create(kube, settings, _annotations(describer))
        except KubeError as error:
            log.warning("lease %s was not renewed: %s", settings.pod_name, error)


async def withdraw_lease(kube: Kube, settings: Settings) -> None:
    """Delete the Lease, so that the worker is assigned no more images.

    If the deletion fails, the Lease expires later.
    """
    try:
        await kube.request("DELETE", f"{leases_path(settings.namespace)}/{settings.pod_name}")
    except KubeError as error:
        log.warning("lease %s was not withdrawn: %s", settings.pod_name, error)


async def _create(kube: Kube, settings: Settings, annotations: dict[str, str]) -> None:
    failures = 0
    while True:
        try:
            await kube.request(
                "POST", leases_path(settings.namespace), body=_manifest(settings, annotations)
            )
        except AlreadyExistsError:
            log.info(
                "lease %s already exists: the response to an earlier request was lost",
                settings.pod_name,
            )
        except UnavailableError as error:
            # The API server may be restarting. A replacement worker would have to wait, too.
            log.warning("lease %s was not created: %s", settings.pod_name, error)
            await asyncio.sleep(backoff(failures, *CREATE_RETRY_SECONDS))
            failures += 1
            continue

        return


def _annotations(describer: Describer) -> dict[str, str]:
    warning = "; ".join(describer.warnings())[:MAX_WARNING_CHARACTERS]
    return {
        ABILITIES_ANNOTATION: SHARDS_ABILITY,
        REQUESTS_ANNOTATION: str(describer.requests_per_image),
        **({WARNING_ANNOTATION: warning} if warning else {}),
    }


def _manifest(settings: Settings, annotations: dict[str, str]) -> Json:
    now = timestamp(datetime.now(UTC))
    owner = {"apiVersion": "v1", "kind": "Pod", "name": settings.pod_name, "uid": settings.pod_uid}

    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": settings.pod_name,
            "annotations": annotations,
            "labels": {COMPONENT_LABEL: WORKER_COMPONENT, DESCRIBER_LABEL: settings.describer},
            "ownerReferences": [owner],
        },
        "spec": {
            "holderIdentity": settings.pod_name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": now,
            "renewTime": now,
        },
    }
