"""Decide which images in the inbox unfinished ImageBatches need."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import TERMINAL


@dataclass(frozen=True, slots=True)
class InboxProtection:
    """The part of the inbox that is kept."""

    prefixes: tuple[str, ...] = ()
    """Complete prefixes of the keys of images that ImageBatches need."""
    is_complete: bool = False
    """Whether the whole inbox is kept, because an ImageBatch has a list of images whose keys are
    unknown here."""

    @classmethod
    def by(cls, batches: Iterable[ImageBatch], folders: BucketFolders) -> Self:
        """Return the part that these ImageBatches need. Finished and uploaded ones need none."""
        specs = [batch.spec for batch in batches if not batch.finished]
        prefixes = {folders.inbox_key(it.prefix) for it in specs if it.prefix is not None}
        others = (it for it in specs if it.prefix is None)
        return cls(tuple(sorted(prefixes)), any(it.upload is None for it in others))

    @classmethod
    def by_body(cls, body: dict[str, Any], folders: BucketFolders) -> Self:
        """Return the part that an ImageBatch needs, given as JSON, even if it is invalid."""
        match body:
            case {"status": {"phase": str(phase)}} if phase in TERMINAL:
                return cls()
            case {"spec": {"prefix": str(prefix)}}:
                return cls((folders.inbox_key(prefix),))
            case {"spec": {"upload": dict()}}:
                return cls()
            case _:
                return cls(is_complete=True)

    def covers(self, key: str) -> bool:
        """Return whether an image in the inbox is kept."""
        return self.is_complete or key.startswith(self.prefixes)

    def __or__(self, other: Self) -> Self:
        prefixes = {*self.prefixes, *other.prefixes}
        return type(self)(tuple(sorted(prefixes)), self.is_complete or other.is_complete)


def suspended_keeper(body: dict[str, Any]) -> Iterator[str]:
    """Yield the name of a suspended ImageBatch that keeps the whole inbox.

    Nothing but a user ends that, so the user must hear of it.
    """
    match body:
        case {"status": {"phase": str(phase)}} if phase in TERMINAL:
            return
        case {"metadata": {"name": str(name)}, "spec": {"manifest": str(), "suspend": True}}:
            yield name
