"""Kinds, keys and versions of the objects that the operator watches and writes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple, get_args

from vision_node_contract.json_types import Json

LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""A time before all other times. It is used where a time is unknown or does not exist."""

Kind = Literal["describers", "imagejobs", "imagebatches", "jobs", "pods", "leases"]
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
    """Version of each kind's last list. For ImageJobs, this is the list of unfinished ones, from
    whose version the watch continues."""
    deleted: dict[Kind, dict[str, int]] = field(default_factory=_per_kind)
    """Versions at which objects were deleted, so that an older list does not bring them back."""
    _current: dict[Kind, dict[str, int]] = field(default_factory=_per_kind)
    _needed_since: dict[Kind, int] = field(default_factory=dict)
    """While a long list is being read: the oldest version that its pages may have."""

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

        # A read may have answered after the watch, with an older version.
        self.deleted[kind][name] = max(version, self.deleted[kind].get(name, 0))
        self._current[kind].pop(name, None)
        return True

    def names(self, kind: Kind) -> set[str]:
        """Return the names of all known objects."""
        return set(self._current[kind])

    def missing(self, kind: Kind, unlisted: Iterable[str], version: int) -> list[str]:
        """Return those of the `unlisted` names whose objects existed before `version`.

        An object that is newer than the list does not count as missing.
        """
        current = self._current[kind]
        return [name for name in unlisted if current.get(name, version + 1) <= version]

    def begin_long_list(self, kind: Kind) -> None:
        """Keep all further deletions until end_long_list(), because a page may be older.

        A list is at least as new as all objects that were seen before it was requested.
        """
        self._needed_since[kind] = self.listed.get(kind, 0)

    def end_long_list(self, kind: Kind) -> None:
        """Record that no more pages arrive, whether or not the list is complete."""
        self._needed_since.pop(kind, None)

    def finish_list(self, kind: Kind, version: int) -> None:
        """Record that a list was read at `version`, and forget old deletions.

        Deletions since the previous list are kept, because an older answer may still arrive.
        """
        previous = self.listed.get(kind, 0)
        oldest = min(version, previous, self._needed_since.get(kind, version))
        self.listed[kind] = version
        deleted = self.deleted[kind].items()
        self.deleted[kind] = {name: when for name, when in deleted if when >= oldest}

    def knows(self, key: ObjectKey) -> bool:
        """Return whether the object exists, according to the events so far."""
        return key.kind != "events" and key.name in self._current[key.kind]
