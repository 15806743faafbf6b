"""Read numbers from the API server's metrics in Prometheus' text format. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_LINE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

WRITING_VERBS = frozenset({"POST", "PATCH", "PUT", "APPLY"})
CONFLICT = "409"


@dataclass(frozen=True, slots=True)
class Writes:
    """ImageJob writes that the API server has answered since it started."""

    accepted: float
    conflicts: float
    """Writes that were answered with 409, because another client was faster."""
    refused: float

    def since(self, before: "Writes") -> "Writes":
        """Return the writes since `before`."""
        return Writes(
            self.accepted - before.accepted,
            self.conflicts - before.conflicts,
            self.refused - before.refused,
        )


def series(text: str, name: str) -> Iterator[tuple[Mapping[str, str], float]]:
    """Return all series of a metric: labels and value."""
    for line in text.splitlines():
        if not line.startswith(name):
            continue
        found = _LINE.match(line)
        if found and found["name"] == name:
            yield dict(_LABEL.findall(found["labels"] or "")), float(found["value"])


def imagejob_writes(text: str) -> Writes:
    """Return the creates and updates of ImageJobs and their status, without deletions."""
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


def database_bytes(text: str) -> float:
    """Return the size of etcd's database, including history that is not compacted yet."""
    return sum(value for _, value in series(text, "apiserver_storage_size_bytes"))
