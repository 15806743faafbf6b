"""Index of the unfinished ImageJobs that use an object under inbox/."""

from vision_node_contract.bucket_keys import INBOX_PREFIX
from vision_node_contract.json_types import Json


class InboxUsers:
    """Finds ImageJobs by the key of their image, if it is under inbox/."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}
        """Names of ImageJobs by the key of their image."""
        self._keys: dict[str, str] = {}
        """Keys of images by the name of the ImageJob that uses each of them."""

    def of(self, key: str) -> list[str]:
        """Return the names of the ImageJobs whose image is the object `key`, sorted."""
        return sorted(self._names.get(key, ()))

    def add(self, name: str, body: Json) -> None:
        """Add an ImageJob, unless its image is not under inbox/."""
        if key := _inbox_key(body):
            self._keys[name] = key
            self._names.setdefault(key, set()).add(name)

    def remove(self, name: str) -> None:
        """Remove an ImageJob if it has been added."""
        key = self._keys.pop(name, None)
        if key is None:
            return

        names = self._names[key]
        names.discard(name)
        if not names:
            del self._names[key]


def _inbox_key(body: Json) -> str:
    """Return the key of an ImageJob's image if the key is under inbox/; otherwise, return ""."""
    match body:
        case {"spec": {"image": {"key": str(key)}}} if key.startswith(INBOX_PREFIX):
            return key
        case _:
            return ""
