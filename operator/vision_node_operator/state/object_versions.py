"""Kinds, keys and versions of the objects that the operator watches and writes."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple, get_args

from vision_node_contract.json_types import Json

LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""A time before all other times. It is used where a time is unknown or does not exist."""

Kind = Literal["describers", "imagejobs", "jobs", "pods", "leases"]
"""Kinds that the operator watches. The values are their plural names in the Kubernetes API."""


class ObjectKey(NamedTuple):
    """Identifies an object that the operator writes."""

    kind: Kind | Literal["events"]
    name: str


def version_of(body: Json) -> int:
    """Return an object's resourceVersion.

    The versions of objects of the same kind can be compared as integers (KEP-5504).
    """
    return int(body["metadata"]["resourceVersion"])


def _per_kind() -> dict[Kind, dict[str, int]]:
    return {kind: {} for kind in get_args(Kind)}


@dataclass
class ObjectVersions:
    """The resourceVersions seen so far. They show whether a view of an object is outdated."""

    listed: dict[Kind, int] = field(default_factory=dict)
    """Version of each kind's last complete list."""
    deleted: dict[Kind, dict[str, int]] = field(default_factory=_per_kind)
    """Versions at which objects were deleted, so that an older list does not bring them back."""
    _current: dict[Kind, dict[str, int]] = field(default_factory=_per_kind)

    def observe(self, kind: Kind, name: str, version: int) -> bool:
        """Record that an object was seen at `version`; return whether that is its newest."""
        current, deleted = self._current[kind].get(name, 0), self.deleted[kind].get(name, 0)
        if version <= max(current, deleted):
            return False

        self._current[kind][name] = version
        return True

    def delete(self, kind: Kind, name: str, version: int) -> bool:
        """Record a deletion at `version`; return False if a newer object has the same name."""
        if version < self._current[kind].get(name, 0):
            return False

        self.deleted[kind][name] = version
        self._current[kind].pop(name, None)
        return True

    def missing(self, kind: Kind, listed: Collection[str], version: int) -> list[str]:
        """Return the names of known objects that are missing from a list read at `version`.

        Objects that are newer than the list do not count as missing.
        """
        known = self._current[kind].items()
        return [name for name, seen in known if name not in listed and seen <= version]

    def finish_list(self, kind: Kind, version: int) -> None:
        """Record that a complete list was read at `version`, and forget old deletions.

        Deletions since the previous list are kept, because an older list may still be arriving.
        """
        oldest = min(version, self.listed.get(kind, 0))
        self.listed[kind] = version
        deleted = self.deleted[kind].items()
        self.deleted[kind] = {name: when for name, when in deleted if when >= oldest}

    def knows(self, key: ObjectKey) -> bool:
        """Return whether the object exists, according to the events so far."""
        return key.kind != "events" and key.name in self._current[key.kind]
