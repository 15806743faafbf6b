"""What a run has measured, as data: written to and read from JSON."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

VISION_NODE, CELERY, JOB_PER_IMAGE = "vision-node", "Celery", "Job per image"
SYSTEMS = (VISION_NODE, CELERY, JOB_PER_IMAGE)

DRIVER = "driver"
CELERY_PREFIX = "celery "
"""Names among components: the load driver itself, and what begins the names of the classic
design's."""


@dataclass
class Sample:
    """One system under one load, once."""

    system: str
    load: str
    describer: str
    round: int
    images: int
    seconds: float
    """From the first submit to the last job that was seen done."""
    latencies: list[float]
    """Seconds from submit to seen done."""
    per_second: float = 0.0
    """Arrivals, where their rate was given."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """By component: all that run, whichever system is under load."""
    others_cores: float = 0.0
    """How many of the systems' cores other programs of this machine used meanwhile, on average."""
    writes: float = 0.0
    """ImageJob writes that the API server accepted."""
    conflicts: float = 0.0

    @property
    def images_per_second(self) -> float:
        """Throughput."""
        return self.images / self.seconds


@dataclass
class Machine:
    """Where it was measured."""

    processor: str
    cores: int
    system_cores: int
    """What the systems were kept to."""
    driver_apart: bool
    """Whether the load driver had other cores."""
    started: str
    quick: bool
    commit: str
    versions: dict[str, str]


@dataclass
class Drain:
    """A backlog that was worked off; times in seconds since the operator came back."""

    images: int
    first_done: float
    last_done: float
    done: list[tuple[float, int]]
    """How many were done when."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def images_per_second(self) -> float:
        """From the first that was done to the last."""
        return (self.images - 1) / (self.last_done - self.first_done)


@dataclass
class Backlog:
    """What `make bench-backlog` measures."""

    machine: Machine
    small: list[Drain]
    large: Drain
    memory: dict[str, dict[str, int]]
    """Bytes by component, by number of ImageJobs (as text: JSON's keys are)."""
    operator_peak_bytes: int
    list_page_seconds: list[float]
    imagejob_bytes: list[int]
    """Size of finished ImageJobs, as etcd stores them."""
    database_bytes: float
    """Of etcd with all of them, not compacted history included."""


@dataclass
class Run:
    """What `make bench` measures."""

    machine: Machine
    samples: list[Sample] = field(default_factory=list)
    cold_seconds: list[float] = field(default_factory=list)
    """Submit → done when no worker runs."""
    idle_cores: dict[str, float] = field(default_factory=dict)
    """By component, on average, when nothing is asked and no worker runs."""
    imagejob_bytes: list[int] = field(default_factory=list)
    picture_bytes: list[int] = field(default_factory=list)
    turned_away: int = 0

    def select(self, system: str, load: str, describer: str) -> list[Sample]:
        """The samples of one system under one load, by round."""
        wanted = (system, load, describer)
        return [s for s in self.samples if (s.system, s.load, s.describer) == wanted]

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Read what `save` has written."""
        machine = Machine(**data.pop("machine"))
        samples = [Sample(**sample) for sample in data.pop("samples")]
        return cls(machine=machine, samples=samples, **data)


def backlog_of(data: dict[str, Any]) -> Backlog:
    """Read what `save` has written."""
    machine = Machine(**data.pop("machine"))
    small, large = [_drain(d) for d in data.pop("small")], _drain(data.pop("large"))
    return Backlog(machine=machine, small=small, large=large, **data)


def _drain(data: dict[str, Any]) -> Drain:
    done = [(float(at), int(count)) for at, count in data.pop("done")]
    return Drain(done=done, **data)


def save(results: Run | Backlog, file: Path) -> None:
    """Write as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dataclasses.asdict(results)) + "\n")
