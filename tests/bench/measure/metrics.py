"""Parse the API server's metrics, which are in the Prometheus text format."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_LINE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

WRITING_VERBS = frozenset({"POST", "PATCH", "PUT", "APPLY"})
DELETING_VERBS = frozenset({"DELETE", "DELETECOLLECTION"})
CONFLICT = "409"


@dataclass(frozen=True, slots=True)
class Writes:
    """Numbers of ImageJob writes that the API server has processed since it started."""

    accepted: float
    conflicts: float
    """Writes that failed with 409 because another client had changed the object first."""
    refused: float
    """Writes that failed for other reasons."""

    def since(self, before: "Writes") -> "Writes":
        """Return the numbers of writes since the earlier reading `before`."""
        return Writes(
            self.accepted - before.accepted,
            self.conflicts - before.conflicts,
            self.refused - before.refused,
        )


def series(text: str, name: str) -> Iterator[tuple[Mapping[str, str], float]]:
    """Yield the labels and the value of each series of a metric."""
    for line in text.splitlines():
        if not line.startswith(name):
            continue
        found = _LINE.match(line)
        if found and found["name"] == name:
            yield dict(_LABEL.findall(found["labels"] or "")), float(found["value"])


def imagejob_writes(text: str) -> Writes:
    """Return the numbers of requests that created or updated ImageJobs or their statuses."""
    accepted = conflicts = refused = 0.0
    for labels, value in series(text, "apiserver_request_total"):
        if labels.get("resource") != "imagejobs" or labels.get("verb") not in WRITING_VERBS:
            continue

        code = labels.get("code", "")
        if code.startswith("2"):
            accepted += value
        elif code == CONFLICT:
            conflicts += value
        else:
            refused += value

    return Writes(accepted, conflicts, refused)


def batch_writes(text: str) -> float:
    """Return the number of accepted requests that changed ImageJobs or ImageBatches.

    Deletions are included, because each shard of a batch is deleted once it has been counted.
    """
    verbs, resources = WRITING_VERBS | DELETING_VERBS, {"imagejobs", "imagebatches"}
    return sum(
        value
        for labels, value in series(text, "apiserver_request_total")
        if labels.get("resource") in resources
        and labels.get("verb") in verbs
        and labels.get("code", "").startswith("2")
    )


def database_bytes(text: str) -> float:
    """Return the size of etcd's database in bytes, including history that is not yet compacted."""
    return sum(value for _, value in series(text, "apiserver_storage_size_bytes"))
