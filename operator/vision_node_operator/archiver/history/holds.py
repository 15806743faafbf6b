"""Decide what may be done with the history while database, bucket or cluster are not as expected.

The archiver may see fewer rows or fewer ImageJobs than before, or another release's folders. It
must not conclude that the rest was deleted, because there may have been a restore from a backup.
Until a person decides, it deletes at most what it has seen being deleted.
"""

from dataclasses import dataclass
from enum import Enum

from vision_node_contract.clients.ownership import (
    ADOPT_ANNOTATION,
    CONFIRM_ANNOTATION,
    STORAGE_NOT_OURS,
    Identity,
)

from .counter_copy import CounterCopy
from .store import Owner

DATABASE_NOT_OURS = "DatabaseNotOurs"
DATABASE_TOO_NEW = "DatabaseTooNew"
HISTORY_RESTORED = "HistoryRestored"
CLUSTER_RESTORED = "ClusterRestored"

REASONS = (
    STORAGE_NOT_OURS,
    DATABASE_NOT_OURS,
    DATABASE_TOO_NEW,
    HISTORY_RESTORED,
    CLUSTER_RESTORED,
)
"""All reasons of holds."""


class Work(Enum):
    """Kinds of work on the history."""

    ARCHIVE = "archive"
    DELETE = "delete"
    """Deleting the data of ImageJobs and ImageBatches whose deletion was seen."""
    CLEAN = "clean"
    """Evictions, retention, sweeps, and deletions of rows because their ImageJobs are missing."""


FORBIDDEN: dict[str, frozenset[Work]] = {
    STORAGE_NOT_OURS: frozenset({Work.DELETE, Work.CLEAN}),
    DATABASE_NOT_OURS: frozenset(Work),
    DATABASE_TOO_NEW: frozenset(Work),
    HISTORY_RESTORED: frozenset({Work.CLEAN}),
    CLUSTER_RESTORED: frozenset({Work.CLEAN}),
}
"""Kinds of work that must wait during each hold, by its reason."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A reason why some kinds of work must wait."""

    reason: str
    message: str
    token: str = ""
    """The value of the annotation that ends the hold; empty if no annotation does."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read from database, bucket and cluster."""

    identity: Identity
    owner: Owner | None
    copy: CounterCopy
    listed_version: int
    """The resourceVersion of the newest complete list of ImageJobs."""


def holds_of(seen: Seen) -> list[Hold]:
    """Return the holds that follow from what was seen."""
    identity, owner, copy = seen.identity, seen.owner, seen.copy
    if owner is None:
        return []

    if owner.uid != identity.uid:
        message = f"the schema in the database belongs to another release (ConfigMap {owner.uid})"
        return [_hold(identity, DATABASE_NOT_OURS, message, ADOPT_ANNOTATION, owner.uid)]

    found: list[Hold] = []
    if copy.is_database_restored or owner.written < copy.written:
        message = (
            f"the database had fewer rows and evictions than the {copy.written} that it should "
            "have had, so it was restored from a backup"
        )
        token = f"history-{copy.written}"
        found.append(_hold(identity, HISTORY_RESTORED, message, CONFIRM_ANNOTATION, token))

    expected = copy.lost_version or owner.resource_version
    if copy.lost_version or seen.listed_version < expected:
        message = (
            f"the cluster's resourceVersion is {seen.listed_version} but was {expected} before, so "
            "etcd was restored from a backup"
        )
        token = f"cluster-{expected}"
        found.append(_hold(identity, CLUSTER_RESTORED, message, CONFIRM_ANNOTATION, token))

    return found


def _hold(identity: Identity, reason: str, message: str, annotation: str, token: str) -> Hold:
    command = (
        f"kubectl --namespace {identity.namespace} annotate --overwrite configmap {identity.name} "
        f"{annotation}={token}"
    )
    advice = f"{message}; nothing is evicted or cleaned up until a person confirms: {command}"
    return Hold(reason, advice, token)


def is_confirmed(hold: Hold, identity: Identity) -> bool:
    """Return whether a person has confirmed that the hold may end."""
    annotation = identity.adopts if hold.reason == DATABASE_NOT_OURS else identity.confirms
    return bool(hold.token) and annotation == hold.token
