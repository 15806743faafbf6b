"""The watch on ImageJobs.

kopf watches everything else. For ImageJobs it would take too much: it lists ten thousand of them in
one response, runs a task for each of them for a while, and never forgets one. That took 150 MB, and
a third of the operator's CPU time per image.
"""

from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube

from .reconciler import Reconciler


async def watch_imagejobs(kube: Kube, namespace: str, reconciler: Reconciler) -> None:
    """Pass all changes of ImageJobs to the reconciler, which has listed them before.

    Raises:
        KubeError: a refusal that only a restart can fix, such as that their CRD is gone.
    """
    since = str(reconciler.state.versions.listed["imagejobs"])
    async for event in kube.follow(ImageJobClient(kube, namespace).path, version=since):
        for body in event.objects:
            reconciler.observe("imagejobs", event.type, body)

        if event.type == "SYNCED":
            reconciler.sweep("imagejobs", event.names, int(event.version))
