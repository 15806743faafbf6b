"""Cache of the Describers and their conditions, which a watch keeps up to date."""

import logging
import re

from vision_node_contract.clients.kube import Kube, NotFoundError, WatchEvent
from vision_node_contract.json_types import Json
from vision_node_contract.models.describer import Describer
from vision_node_contract.models.imagejob import Condition
from vision_node_contract.models.reasons import ReadyReason
from vision_node_contract.names import DESCRIBER_PLURAL, path_of

log = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class DescriberCache:
    """The Describers of a namespace, as last reported by a watch."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.path = path_of(DESCRIBER_PLURAL, namespace)
        self._kube = kube
        self._known: dict[str, Describer] = {}

    def all(self) -> list[Describer]:
        """Return all Describers, sorted by name."""
        return [self._known[name] for name in sorted(self._known)]

    def peek(self, name: str) -> Describer | None:
        """Return a Describer if it is cached; otherwise, return None."""
        return self._known.get(name)

    def problem(self, name: str) -> Condition | None:
        """Return the Ready condition of a Describer if it shows a problem; otherwise, return None.

        There is a problem if the Describer can't describe images now, or if it is rate limited.
        """
        describer = self._known.get(name)
        ready = describer.status.readiness if describer else None
        if ready and (ready.status == "False" or ready.reason == ReadyReason.RATE_LIMITED):
            return ready
        return None

    async def has(self, name: str) -> bool:
        """Return whether a Describer exists. If it is not cached, ask the API server.

        Raises:
            KubeError: the API server did not respond, or refused the request.
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
        """Update the cache with a watch event."""
        if event.type == "SYNCED":
            for name in self._known.keys() - event.names:
                del self._known[name]

        for body in event.objects:
            name = body["metadata"]["name"]
            self._known.pop(name, None)
            if event.type != "DELETED":
                self._add(name, body)

    def _add(self, name: str, body: Json) -> None:
        try:
            self._known[name] = Describer.model_validate(body)
        except ValueError as error:
            log.warning("Describer %s can't be read: %s", name, error)
