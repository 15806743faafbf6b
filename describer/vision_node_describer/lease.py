"""The worker's Lease: its word that it serves, and goes on serving.

A pod that runs does not serve yet, and kubelet's probes tick in whole seconds; a Lease is seen by
the operator's watch within milliseconds, and its silence tells of a hung worker (as nodes' Leases
do, KEP-589).
"""

import asyncio
import logging
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
    COMPONENT_LABEL,
    DESCRIBER_LABEL,
    REQUESTS_ANNOTATION,
    WARNING_ANNOTATION,
    WORKER_COMPONENT,
)

from .describers import Describer
from .settings import Settings

log = logging.getLogger(__name__)

MAX_WARNING_CHARACTERS = 1024
"""A sentence or two, which become a condition's message."""

CREATE_RETRY_SECONDS = (0.1, 2.0)
"""First and longest wait before the Lease is created again, while the API server is away."""


async def keep_lease(kube: Kube, settings: Settings, describer: Describer) -> None:
    """Create the Lease, renew it until cancelled, and make it anew should somebody delete it.

    With it goes what the operator should know of the describer: how many requests an image takes,
    and its warnings, which become known.

    Raises:
        KubeError: it could not even be created; the worker is of no use.
    """
    await _create(kube, settings, _annotations(describer))
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            renewal = {
                "metadata": {"annotations": _annotations(describer)},
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
    """Say that the worker takes no more; if that fails, the Lease's silence says it."""
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
            log.info("lease %s exists: an earlier request was answered too late", settings.pod_name)
        except UnavailableError as error:
            # The API server begins anew, perhaps: so would a worker in our place.
            log.warning("lease %s was not created: %s", settings.pod_name, error)
            await asyncio.sleep(backoff(failures, *CREATE_RETRY_SECONDS))
            failures += 1
            continue

        return


def _annotations(describer: Describer) -> dict[str, str]:
    warning = "; ".join(describer.warnings())[:MAX_WARNING_CHARACTERS]
    return {
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
