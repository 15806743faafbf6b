"""Watch all ImageBatches and record each status for the checker."""

import time

from vision_node_contract.clients.kube import Kube
from vision_node_contract.json_types import Json
from vision_node_contract.names import BATCH_PLURAL, path_of

from cluster.release import NAMESPACE
from faults.batches.history import BatchObservation

IMAGEBATCHES = path_of(BATCH_PLURAL, NAMESPACE)


class BatchObserver:
    """Watches the run's ImageBatches, even across API server restarts and expired watches."""

    def __init__(self, kube: Kube, names: set[str]) -> None:
        self.observations: list[BatchObservation] = []
        self.uids: dict[str, str] = {}
        """Uid of each ImageBatch by name."""
        self._kube = kube
        self._names = names
        self._versions: dict[str, int] = {}

    @property
    def unfinished(self) -> set[str]:
        """Names of the ImageBatches whose end has not been observed yet."""
        return self._names - {each.batch for each in self.observations if each.ended}

    async def run(self) -> None:
        """Record observations until the task is cancelled."""
        async for event in self._kube.follow(IMAGEBATCHES):
            for body in event.objects:
                self._record(body, deleted=event.type == "DELETED")

    def _record(self, body: Json, *, deleted: bool) -> None:
        name, version = body["metadata"]["name"], int(body["metadata"]["resourceVersion"])
        if name not in self._names or version <= self._versions.get(name, 0):
            return

        self._versions[name] = version
        self.uids[name] = body["metadata"]["uid"]
        self.observations.append(
            BatchObservation(time.monotonic(), name, version, body["status"], deleted)
        )
