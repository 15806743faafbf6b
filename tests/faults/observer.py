"""Watch all ImageJobs of single images and record each status for the checker."""

import time

from vision_node_contract.clients.kube import Kube, Selectors
from vision_node_contract.json_types import Json
from vision_node_contract.names import BATCH_LABEL

from faults.history import Observation
from faults.load import IMAGEJOBS

SINGLES = Selectors(labels=f"!{BATCH_LABEL}")

MAX_ATTEMPTS = 3
"""Default value of a Describer's maxAttempts."""


class Observer:
    """Watches the ImageJobs, even across API server restarts and expired watches.

    Shards of ImageBatches are not included.
    """

    def __init__(self, kube: Kube) -> None:
        self.observations: list[Observation] = []
        self._kube = kube
        self._versions: dict[str, int] = {}
        self._older: set[str] | None = None
        """Names of ImageJobs to ignore because they existed before the run; None at first."""
        self.older_uids: set[str] = set()
        """Uids of these ImageJobs."""

    @property
    def ready(self) -> bool:
        """Whether the older ImageJobs are known, so that the load can start."""
        return self._older is not None

    def unfinished(self, submitted: set[str]) -> set[str]:
        """Return the submitted ImageJobs whose end has not been observed yet."""
        return submitted - {each.job for each in self.observations if each.ended}

    async def run(self) -> None:
        """Record observations until the task is cancelled."""
        older: set[str] = set()

        async for event in self._kube.follow(IMAGEJOBS, SINGLES):
            if not self.ready:
                older.update(body["metadata"]["name"] for body in event.objects)
                self.older_uids.update(body["metadata"]["uid"] for body in event.objects)
                self._older = older if event.type == "SYNCED" else None
                continue

            for body in event.objects:
                self._record(body, deleted=event.type == "DELETED")

    def _record(self, body: Json, *, deleted: bool) -> None:
        meta, spec = body["metadata"], body["spec"]
        name, version = meta["name"], int(meta["resourceVersion"])
        if name in (self._older or ()) or version <= self._versions.get(name, 0):
            return

        self._versions[name] = version
        image, attempts = spec["image"]["key"], spec.get("maxAttempts", MAX_ATTEMPTS)

        now = time.monotonic()
        self.observations.append(
            Observation(now, name, version, body["status"], image, attempts, deleted, meta["uid"])
        )
