"""Watches all ImageJobs and remembers every status: what the checker reads."""

import time
from typing import Any

from vision_node_contract.clients.kube import Kube

from faults.history import Seen
from faults.load import IMAGEJOBS

Json = dict[str, Any]


MAX_ATTEMPTS = 3
"""A Describer's default."""


class Observer:
    """Follows the ImageJobs from outside, over API server restarts and expired watches."""

    def __init__(self, kube: Kube) -> None:
        self.seen: list[Seen] = []
        self._kube = kube
        self._versions: dict[str, int] = {}
        self._older: set[str] | None = None
        """ImageJobs that were there before the run: none of our concern."""

    @property
    def ready(self) -> bool:
        """Whether what was there before is known, so that the load may begin."""
        return self._older is not None

    def unfinished(self, submitted: set[str]) -> set[str]:
        """Return those ImageJobs that have not been seen to end."""
        return submitted - {seen.job for seen in self.seen if seen.ended}

    async def run(self) -> None:
        """Remember until cancelled."""
        before: set[str] = set()
        async for event in self._kube.follow(IMAGEJOBS):
            if not self.ready:
                before.update(body["metadata"]["name"] for body in event.objects)
                self._older = before if event.type == "SYNCED" else None
                continue

            for body in event.objects:
                self._remember(body, deleted=event.type == "DELETED")

    def _remember(self, body: Json, *, deleted: bool) -> None:
        meta, spec = body["metadata"], body["spec"]
        name, version = meta["name"], int(meta["resourceVersion"])
        if name in (self._older or ()) or version <= self._versions.get(name, 0):
            return

        self._versions[name] = version
        image, attempts = spec["image"]["key"], spec.get("maxAttempts", MAX_ATTEMPTS)
        now = time.monotonic()
        self.seen.append(Seen(now, name, version, body["status"], image, attempts, deleted))
