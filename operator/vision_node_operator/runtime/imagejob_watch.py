"""ImageJobs as they come, change and go.

Not by kopf, which follows all else: it lists ten thousand of them at once, and keeps a task for
each for a while and a memory for good. Both took 150 MB, and a third of the operator's CPU time for
an image.
"""

from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube

from .reconciler import Reconciler


async def follow_imagejobs(kube: Kube, namespace: str, reconciler: Reconciler) -> None:
    """Tell the reconciler of them, for ever; it has listed them before.

    Raises:
        KubeError: a refusal that only a new start mends, such as that their CRD is gone.
    """
    since = str(reconciler.state.swept["imagejobs"])
    async for event in kube.follow(ImageJobClient(kube, namespace).path, version=since):
        for body in event.objects:
            reconciler.observe("imagejobs", event.type, body)
        if event.type == "SYNCED":
            reconciler.sweep("imagejobs", event.names, int(event.version))
