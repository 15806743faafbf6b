"""Watch ImageBatches.

kopf is not used, because it looks for the existing kinds only once, at the start. The CRD of
ImageBatches may be installed later, when the release that owns the CRDs is upgraded.
"""

import asyncio
import logging

from vision_node_contract.clients.kube import Kube, KubeError, backoff
from vision_node_contract.names import BATCH_PLURAL, path_of

from ..reconciler import Reconciler, until_answered

log = logging.getLogger(__name__)

MISSING_SECONDS = (1.0, 60.0)
"""First and longest delay in seconds while the CRD or the rights are missing, with full jitter."""


async def watch_imagebatches(kube: Kube, namespace: str, reconciler: Reconciler) -> None:
    """Report every ImageBatch and every change to the reconciler, until cancelled.

    Deletions that the watch misses are noticed by the reconciler's next list.
    """
    path, failures = path_of(BATCH_PLURAL, namespace), 0

    while True:
        try:
            async for event in kube.follow(path):
                failures = 0
                if event.type == "SYNCED" and not reconciler.state.knows_all_shards:
                    # The CRD did not exist, or its permissions were missing, at the last list.
                    await until_answered(reconciler.resync)

                kind = event.type if event.type in {"ADDED", "MODIFIED", "DELETED"} else None
                for body in event.objects:
                    reconciler.observe("imagebatches", kind, body)
        except KubeError as error:
            level = logging.WARNING if failures == 0 else logging.DEBUG
            log.log(level, "ImageBatches can't be watched, so none are described: %s", error)
            await asyncio.sleep(backoff(failures, *MISSING_SECONDS))
            failures += 1
