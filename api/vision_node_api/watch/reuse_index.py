"""Index of ImageJobs by the key that is the same for submissions with the same result."""

from vision_node_contract.json_types import Json
from vision_node_contract.names import REUSE_LABEL

MAX_NAMES = 4
"""Maximum number of ImageJobs that are kept for a key, so that an image that is submitted thousands
of times costs no more than a few. All of them would have the same result; several are kept because
some may be deleted."""


class ReuseIndex:
    """Finds ImageJobs by the value of their label vision-node.dev/reuse-key."""

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, ...]] = {}
        """Names of ImageJobs by key, from oldest to newest."""
        self._keys: dict[str, str] = {}
        """Keys by the name of the ImageJob."""

    def __len__(self) -> int:
        return len(self._keys)

    def of(self, key: str) -> list[str]:
        """Return the names of the newest ImageJobs with this key, the newest first."""
        return [*reversed(self._names.get(key, ()))]

    def add(self, name: str, body: Json) -> None:
        """Add an ImageJob, unless it has no key."""
        key = (body["metadata"].get("labels") or {}).get(REUSE_LABEL)
        if not key:
            return

        names = self._names.get(key, ())
        if len(names) == MAX_NAMES:
            del self._keys[names[0]]
            names = names[1:]
        self._names[key] = (*names, name)
        self._keys[name] = key

    def remove(self, name: str) -> None:
        """Remove an ImageJob if it is there."""
        key = self._keys.pop(name, None)
        if key is None:
            return

        names = tuple(it for it in self._names[key] if it != name)
        if names:
            self._names[key] = names
        else:
            del self._names[key]
