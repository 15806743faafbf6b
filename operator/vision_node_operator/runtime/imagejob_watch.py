"""Watch ImageJobs.

kopf watches all other kinds, but it is too expensive for ImageJobs. It lists ten thousand of them
in one response, runs a task for each of them for a while, and keeps a record of each forever.
With kopf, the watch took 150 MB of memory and a third of the operator's CPU time per image.
"""

import asyncio

from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import GoneError, Kube, backoff

from .reconciler import Reconciler, until_answered

RESTART_SECONDS = (0.1, 3.0)
"""First and longest pause before everything is listed again because events may be missing, with
full jitter."""


async def watch_imagejobs(kube: Kube, namespace: str, reconciler: Reconciler) -> None:
    """Report every change of an ImageJob to the reconciler, starting after its last list.

    The list contains only unfinished ImageJobs, but the watch must not be filtered in the same way:
    it would report each ImageJob that finishes as deleted. If changes may have been missed, the
    reconciler lists everything again.

    Raises:
        KubeError: The API server refused the watch for a reason that only a restart can fix. For
            example, the CRD no longer exists.
    """
    path, failures = ImageJobClient(kube, namespace).path, 0

    while True:
        since = str(reconciler.state.versions.listed["imagejobs"])
        try:
            async for event in kube.changes(path, since):
                failures = 0
                for body in event.objects:
                    reconciler.observe("imagejobs", event.type, body)
        except GoneError:
            await asyncio.sleep(backoff(failures, *RESTART_SECONDS))
            failures += 1
            await until_answered(reconciler.resync_after_loss)
