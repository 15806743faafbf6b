"""The worker's Lease: its word that it serves, and goes on serving.

A pod that runs does not serve yet, and kubelet's probes tick in whole seconds; a Lease is seen by the
operator's watch within milliseconds, and its silence tells of a hung worker (as nodes' Leases do,
KEP-589).
"""

import asyncio
import logging
from datetime import UTC, datetime

from vision_node_contract.kube import AlreadyExistsError, Json, Kube, KubeError
from vision_node_contract.names import COMPONENT_LABEL, DESCRIBER_LABEL, WORKER_COMPONENT
from vision_node_contract.transitions import timestamp

from .settings import Settings

log = logging.getLogger(__name__)

RENEW_SECONDS = 5.0
"""A quarter of the silence after which the operator assigns no more: three renewals may be lost."""

LEASE_SECONDS = 20


async def keep_lease(kube: Kube, settings: Settings) -> None:
    """Create the Lease, then renew it until cancelled.

    Raises:
        KubeError: it could not even be created; the worker is of no use.
    """
    path = f"/apis/coordination.k8s.io/v1/namespaces/{settings.namespace}/leases"
    try:
        await kube.request("POST", path, body=_manifest(settings))
    except AlreadyExistsError:
        log.info("lease %s exists: an earlier request was answered too late", settings.pod_name)
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            renewal = {"spec": {"renewTime": timestamp(datetime.now(UTC))}}
            await kube.request("PATCH", f"{path}/{settings.pod_name}", body=renewal)
        except KubeError as error:
            log.warning("lease %s was not renewed: %s", settings.pod_name, error)


def _manifest(settings: Settings) -> Json:
    now = timestamp(datetime.now(UTC))
    owner = {"apiVersion": "v1", "kind": "Pod", "name": settings.pod_name, "uid": settings.pod_uid}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": settings.pod_name,
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
