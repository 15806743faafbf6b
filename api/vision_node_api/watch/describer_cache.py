"""Describers as a watch shows them: which there are, and how they fare."""

import logging
import re

from vision_node_contract.clients.kube import Kube, NotFoundError, WatchEvent
from vision_node_contract.models.describer import Describer
from vision_node_contract.models.imagejob import Condition
from vision_node_contract.models.reasons import ReadyReason
from vision_node_contract.names import DESCRIBER_PLURAL, path_of

log = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Describers:
    """The Describers of one namespace."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.path = path_of(DESCRIBER_PLURAL, namespace)
        self._kube = kube
        self._known: dict[str, Describer] = {}

    def all(self) -> list[Describer]:
        """Return all of them, by name."""
        return [self._known[name] for name in sorted(self._known)]

    def trouble(self, name: str) -> Condition | None:
        """Return why the Describer of that name does not work now, if it doesn't."""
        found = self._known.get(name)
        ready = found.status.readiness if found else None
        if ready and (ready.status == "False" or ready.reason == ReadyReason.RATE_LIMITED):
            return ready
        return None

    async def has(self, name: str) -> bool:
        """Whether there is one of that name; asks the API server about one that the watch doesn't show.

        Raises:
            KubeError: it had to be asked and did not answer well.
        """
        if name in self._known:
            return True
        if not _NAME.fullmatch(name):
            return False

        try:
            await self._kube.request("GET", f"{self.path}/{name}")
        except NotFoundError:
            return False

        return True

    def observe(self, event: WatchEvent) -> None:
        """Take in what the watch shows."""
        if event.type == "SYNCED":
            for name in self._known.keys() - event.names:
                del self._known[name]

        for body in event.objects:
            name = body["metadata"]["name"]
            self._known.pop(name, None)
            if event.type == "DELETED":
                continue
            try:
                self._known[name] = Describer.model_validate(body)
            except ValueError as error:
                log.warning("Describer %s can't be read: %s", name, error)
