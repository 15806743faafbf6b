"""The latest change of each ImageJob and ImageBatch, for clients that follow them.

Followers get states and not a history: of each object, only the latest change is kept, in the order
in which the watches reported it. So a slow follower has no backlog, and any replica can continue
what another one began, from the resourceVersions that a client has seen.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Literal, NamedTuple

from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.json_types import Json
from vision_node_contract.names import OWNER_LABEL

Kind = Literal["job", "batch"]
Key = tuple[Kind, str]
"""Kind and name of an object."""

MAX_CHANGES = 20_000
"""Maximum number of objects whose latest change is remembered, about 500 bytes each. At 50 images
per second, they are the changes of the last six minutes."""


class Position(NamedTuple):
    """How far a client has followed each of the two watches, as resourceVersions.

    Two numbers are needed, because one watch may be ahead of the other.
    """

    jobs: int = 0
    batches: int = 0

    def of(self, kind: Kind) -> int:
        """Return the resourceVersion of the watch of one kind."""
        return self.jobs if kind == "job" else self.batches

    def at_least(self, other: "Position") -> "Position":
        """Return a position that is not before another one in any of the watches."""
        return Position(max(self.jobs, other.jobs), max(self.batches, other.batches))


START = Position()


@dataclass(frozen=True, slots=True)
class Change:
    """The latest change of an object."""

    kind: Kind
    name: str
    version: int
    """The object's resourceVersion. That of a deletion is the one at which it is known."""
    is_deleted: bool
    phase: str = ""
    describer: str = ""
    labels: Mapping[str, str] | None = None
    """Labels of the object; None if nothing but its name and its owner is known."""
    owner: str = ""
    """The owner of the object; empty if it has none."""
    sequence: int = 0
    """Number of changes that this replica had seen when it saw this one."""
    position: Position = START
    """How far the watches were then."""

    @property
    def key(self) -> Key:
        """Kind and name of the object."""
        return self.kind, self.name


@dataclass(slots=True)
class _Watched:
    """What is known of the objects of one kind."""

    version: int | None = None
    """The resourceVersion up to which all changes are known; None before the first list."""
    floor: int = 0
    """The resourceVersion since which all changes are remembered."""
    owners: dict[str, str] = field(default_factory=dict)
    """The owners of all objects by name; empty for those without one."""
    listed_owners: dict[str, str] = field(default_factory=dict)
    """The same for the objects in a list that is incomplete."""
    listed: dict[str, Change] = field(default_factory=dict)
    """Objects in a list that is incomplete, if they have changed since the last one."""
    resumed_from: int = 0
    """The resourceVersion before the last list; deletions since then may have been missed."""
    listed_at: int = 0
    """The number of changes at the last list."""


class ChangeLog:
    """Remembers the latest changes, and tells `notify` the keys of objects that have changed.

    None instead of a key means that any objects may have changed.
    """

    def __init__(self, max_changes: int = MAX_CHANGES) -> None:
        self.sequence = 0
        """Number of changes so far."""
        self.forgotten = 0
        """Number of the last change that did not fit any more."""
        self.notify: Callable[[Key | None], None] = lambda _: None
        self.max_changes = max_changes
        self._watched: dict[Kind, _Watched] = {"job": _Watched(), "batch": _Watched()}
        self._latest: dict[Key, Change] = {}
        """The latest change of each object, in the order in which they happened."""

    @property
    def position(self) -> Position:
        """How far the watches are now."""
        return Position(self._watched["job"].version or 0, self._watched["batch"].version or 0)

    def has_listed(self, kind: Kind) -> bool:
        """Return whether all objects of a kind have been listed at least once."""
        return self._watched[kind].version is not None

    def remembers(self, position: Position) -> bool:
        """Return whether all changes since a client's position are known."""
        return all(position.of(kind) >= it.floor for kind, it in self._watched.items())

    def has_lost(self, position: Position, sequence: int) -> bool:
        """Return whether a follower may have missed changes.

        Args:
            position: How far the client was when it began to follow.
            sequence: Number of the last change that the follower has handled.
        """
        return sequence < self.forgotten or any(
            it.listed_at > sequence
            # A list that is older than the last one is from a restored database.
            and (position.of(kind) > it.resumed_from or (it.version or 0) < it.resumed_from)
            for kind, it in self._watched.items()
        )

    def was_listed_after(self, sequence: int) -> bool:
        """Return whether changes after a number of changes may be unknown to `latest`."""
        return sequence < self.forgotten or any(
            it.listed_at > sequence for it in self._watched.values()
        )

    def latest(self, key: Key) -> Change | None:
        """Return the latest change of an object; None if it is not remembered."""
        return self._latest.get(key)

    def since(self, sequence: int) -> list[Change]:
        """Return the latest changes after a number of changes, in their order."""
        newest_first = reversed(self._latest.values())
        return list(takewhile(lambda it: it.sequence > sequence, newest_first))[::-1]

    def observer(self, kind: Kind) -> Callable[[WatchEvent], None]:
        """Return the function that records the watch events of a kind."""
        return lambda event: self.observe(kind, event)

    def observe(self, kind: Kind, event: WatchEvent) -> None:
        """Record a watch event."""
        watched = self._watched[kind]
        match event.type:
            case "PAGE":
                self._add_page(kind, event)
            case "SYNCED":
                self._end_list(kind, event)
            case _:
                for body in event.objects:
                    change = _change_of(kind, body, is_deleted=event.type == "DELETED")
                    watched.owners.pop(change.name, None)
                    if not change.is_deleted:
                        watched.owners[change.name] = change.owner
                    if watched.version is not None:
                        watched.version = max(watched.version, change.version)
                    self._record(change)
                    self.notify(change.key)

    def _add_page(self, kind: Kind, event: WatchEvent) -> None:
        watched = self._watched[kind]
        for change in (_change_of(kind, it, is_deleted=False) for it in event.objects):
            watched.listed_owners[change.name] = change.owner
            if watched.version is None:
                continue
            if change.version > watched.version or change.name not in watched.owners:
                watched.listed[change.name] = change

    def _end_list(self, kind: Kind, event: WatchEvent) -> None:
        watched = self._watched[kind]
        before, version = watched.version, int(event.version or 0)
        listed, watched.listed = watched.listed, {}
        owners = watched.owners | watched.listed_owners
        deleted = watched.owners.keys() - event.names
        watched.owners = {name: owners.get(name, "") for name in event.names}
        watched.listed_owners = {}

        # Changes between the two lists are unknown, so a client that was in between has to read.
        watched.floor = version
        if before is None:
            watched.version = version
            return

        if version < before:
            # The database has been restored, so the versions of known changes mean nothing.
            self._latest.clear()

        self.sequence += 1
        watched.resumed_from, watched.listed_at = before, self.sequence
        # Deletions come first, so a client that resumes after one of the others has all of them.
        for name in sorted(deleted):
            owner = owners.get(name, "")
            self._record(Change(kind, name, version, is_deleted=True, owner=owner))
        for change in sorted(listed.values(), key=lambda it: it.version):
            if change.name in event.names:
                watched.version = change.version
                self._record(change)

        watched.version = version
        self.notify(None)

    def _record(self, change: Change) -> None:
        self.sequence += 1
        self._latest.pop(change.key, None)
        self._latest[change.key] = replace(change, sequence=self.sequence, position=self.position)

        while len(self._latest) > self.max_changes:
            oldest = self._latest.pop(next(iter(self._latest)))
            watched = self._watched[oldest.kind]
            watched.floor = max(watched.floor, oldest.version)
            self.forgotten = oldest.sequence


def changes_in(changes: list[Change], log: ChangeLog) -> Iterator[Change]:
    """Yield the changes that are still the latest of their objects when they are reached."""
    for change in changes:
        if log.latest(change.key) is change:
            yield change


def _change_of(kind: Kind, body: Json, *, is_deleted: bool) -> Change:
    """Return the change of an object, which may be of another version than this one's."""
    metadata = body["metadata"]
    labels = metadata.get("labels") or {}
    return Change(
        kind,
        metadata["name"],
        int(metadata.get("resourceVersion") or 0),
        is_deleted,
        str(_object(body.get("status")).get("phase") or "queued"),
        str(_object(body.get("spec")).get("describer") or ""),
        labels,
        sys.intern(labels.get(OWNER_LABEL, "")),
    )


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}
