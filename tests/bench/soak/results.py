"""Results of a soak test. They are saved as a JSON file."""

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.results import Machine

MAX_MESSAGES = 10
"""Number of problems that are kept as text. All of them are counted."""


COMPONENTS = (
    *("kube-apiserver", "etcd", "operator", "archiver", "api", "minio", "postgres", "workers"),
)
"""Components whose memory is sampled."""

HISTORY_COMPONENTS = ("archiver", "postgres")
"""Components that keep the history, whose CPU time is shown, too."""

Outcome = Literal["done", "failed", "lost", "unfinished"]
"""What a client saw of an acknowledged job."""


@dataclass
class Tally:
    """What the clients observed. Each image is in exactly one of the first five numbers."""

    done: int = 0
    failed: int = 0
    """Jobs that ended with an error."""
    lost: int = 0
    """Acknowledged jobs that the API no longer knew before a client saw their end."""
    unfinished: int = 0
    """Acknowledged jobs whose end a client could not see in time."""
    refused: int = 0
    """Images that were not acknowledged even after all retries."""
    retries: dict[str, int] = field(default_factory=Counter)
    """Requests that were repeated, by status code or as `no response`."""
    results_checked: int = 0
    results_wrong: int = 0
    messages: list[str] = field(default_factory=list)
    """The first problems."""

    @property
    def acknowledged(self) -> int:
        """Number of images for which a client has received a job id and its outcome."""
        return self.done + self.failed + self.lost + self.unfinished

    @property
    def missing(self) -> int:
        """Number of images that were submitted but that no client saw done."""
        return self.failed + self.lost + self.unfinished + self.refused

    @property
    def problems(self) -> int:
        """Number of images that were not described correctly."""
        return self.missing + self.results_wrong

    def count(self, outcome: Outcome, message: str) -> bool:
        """Count the outcome of an acknowledged job, and return whether the job is done."""
        setattr(self, outcome, getattr(self, outcome) + 1)
        if outcome == "done":
            return True

        self.note(message)
        return False

    def note(self, message: str) -> None:
        """Keep one of the first problems as text."""
        if len(self.messages) < MAX_MESSAGES:
            self.messages.append(message)


@dataclass
class EtcdSize:
    """Size of etcd's database in bytes. The file never shrinks until it is defragmented."""

    total_bytes: int
    in_use_bytes: int


@dataclass
class Reading:
    """State of the cluster at one moment."""

    memory: dict[str, int]
    """Memory that no file backs, in bytes by component."""
    working_set: dict[str, int]
    """Memory without reclaimable file pages, in bytes by component."""
    etcd: EtcdSize
    imagejobs: int
    jobs: int
    """Number of describer Jobs."""
    pods: int
    """Number of workers' pods."""
    replaced: int
    """Number of containers that ran at the first reading but no longer do."""
    objects: int | None = None
    """Objects below images/ and results/; None if they were not counted."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """CPU time of HISTORY_COMPONENTS since their containers started."""
    lag_seconds: float | None = None
    """Age of the oldest finished ImageJob that is not archived; None if it is unknown."""
    database_bytes: int | None = None
    """Size of PostgreSQL's database on disk; None if it was not asked for."""


@dataclass
class Sample:
    """A reading, with the clients' progress."""

    seconds: float
    """Seconds since the start of the load."""
    done: int
    problems: int
    retries: int
    reading: Reading


@dataclass
class Found:
    """What the history had when everything had been evicted."""

    acknowledged: int
    """Number of ImageJobs that the API acknowledged."""
    missing: int
    """Number of those that PostgreSQL does not have."""
    statuses: int
    """Number of jobs whose status was read through the API."""
    statuses_wrong: int
    searches: int
    """Number of images that were searched for by a word that only they have."""
    searches_wrong: int
    database_bytes: int
    """Size of PostgreSQL's database on disk."""


@dataclass
class Soak:
    """Results of `make soak`."""

    machine: Machine
    images: int
    imagejob_seconds: int
    """How long a finished ImageJob stays in etcd."""
    clients: int
    quick: bool
    workers: int
    """Number of warm workers (minWorkers of all Describers)."""
    tally: Tally = field(default_factory=Tally)
    samples: list[Sample] = field(default_factory=list)
    failed_samples: int = 0
    load_seconds: float = 0.0
    """Seconds until a client saw the end of the last job; 0 if the load did not end."""
    evicted_seconds: float | None = None
    """Seconds from the end of the load until nothing was left; None if something was left."""
    etcd: dict[str, EtcdSize] = field(default_factory=dict)
    """Size of etcd's database by moment."""
    found: Found | None = None
    """None if the test ended before it looked at the history."""


AT_START, AT_END = "at the start, compacted and defragmented", "when everything had been evicted"
COMPACTED, DEFRAGMENTED = "after a compaction", "after a defragmentation"


def save(soak: Soak, file: Path) -> None:
    """Write the results to a JSON file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dataclasses.asdict(soak)) + "\n")


def soak_of(data: dict[str, Any]) -> Soak:
    """Return the results from JSON that save() wrote."""
    return Soak(
        machine=Machine(**data.pop("machine")),
        tally=Tally(**data.pop("tally")),
        samples=[_sample(sample) for sample in data.pop("samples")],
        etcd={moment: EtcdSize(**size) for moment, size in data.pop("etcd").items()},
        found=Found(**found) if (found := data.pop("found")) else None,
        **data,
    )


def _sample(data: dict[str, Any]) -> Sample:
    reading = data.pop("reading")
    etcd = EtcdSize(**reading.pop("etcd"))
    return Sample(reading=Reading(etcd=etcd, **reading), **data)
