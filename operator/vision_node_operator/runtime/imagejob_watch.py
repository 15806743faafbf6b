"""Watch ImageJobs.

kopf watches all other kinds, but it is too expensive for ImageJobs. It lists ten thousand of them
in one response, runs a task for each of them for a while, and keeps a record of each forever.
With kopf, the watch took 150 MB of memory and a third of the operator's CPU time per image.
"""

from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube

from .reconciler import Reconciler


async def watch_imagejobs(kube: Kube, namespace: str, reconciler: Reconciler) -> None:
    """Report every change of an ImageJob to the reconciler, starting after its last list.

    Raises:
        KubeError: The API server refused the watch for a reason that only a restart can fix. For
            example, the CRD no longer exists.
    """
    since = str(reconciler.state.versions.listed["imagejobs"])
    async for event in kube.follow(ImageJobClient(kube, namespace).path, version=since):
        for body in event.objects:
            reconciler.observe("imagejobs", event.type, body)

        if event.type == "SYNCED":
            reconciler.sweep("imagejobs", event.names, int(event.version))
