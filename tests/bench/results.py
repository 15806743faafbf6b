"""Results of a run, which are stored as JSON."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

VISION_NODE, CELERY, JOB_PER_IMAGE = "vision-node", "Celery", "Job per image"
SYSTEMS = (VISION_NODE, CELERY, JOB_PER_IMAGE)

DRIVER = "driver"
CELERY_PREFIX = "celery "
"""Names of components: the load driver, and the prefix of the classic design's components."""


@dataclass
class Sample:
    """One measurement of one system under one load."""

    system: str
    load: str
    describer: str
    round: int
    images: int
    seconds: float
    """Seconds from the first submit to the last job that was seen done."""
    latencies: list[float]
    """Seconds from the submission of each job until it was seen done."""
    per_second: float = 0.0
    """Arrivals per second, for loads with a fixed rate."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """CPU-seconds of all running components, including those of the idle system."""
    others_cores: float = 0.0
    """Average number of the systems' cores that other programs of the machine used."""
    writes: float = 0.0
    """ImageJob writes that the API server accepted."""
    conflicts: float = 0.0

    @property
    def images_per_second(self) -> float:
        """Images per second."""
        return self.images / self.seconds


@dataclass
class Machine:
    """The machine on which the systems were measured, and the versions of their software."""

    processor: str
    cores: int
    system_cores: int
    """Number of cores that the systems could use."""
    driver_apart: bool
    """Whether the load driver had its own cores."""
    started: str
    quick: bool
    commit: str
    versions: dict[str, str]


@dataclass
class Drain:
    """A processed backlog. Times are in seconds since the operator was started again."""

    images: int
    first_done: float
    last_done: float
    done: list[tuple[float, int]]
    """Curve of completions: seconds, and how many jobs were done by then."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def images_per_second(self) -> float:
        """Throughput from the first completed job to the last."""
        return (self.images - 1) / (self.last_done - self.first_done)


@dataclass
class Backlog:
    """Results of `make bench-backlog`."""

    machine: Machine
    small: list[Drain]
    large: Drain
    memory: dict[str, dict[str, int]]
    """Bytes by component, by number of ImageJobs. The number is text, because it is a JSON key."""
    operator_peak_bytes: int
    list_page_seconds: list[float]
    imagejob_bytes: list[int]
    """Sizes of finished ImageJobs in etcd, in bytes."""
    database_bytes: float
    """Bytes of etcd's database with all ImageJobs, and with history that is not compacted yet."""


@dataclass
class Run:
    """Results of `make bench`."""

    machine: Machine
    samples: list[Sample] = field(default_factory=list)
    cold_seconds: list[float] = field(default_factory=list)
    """Seconds from submit to done when no worker is running."""
    idle_cores: dict[str, float] = field(default_factory=dict)
    """Average cores by component when there is no work and no worker is running."""
    imagejob_bytes: list[int] = field(default_factory=list)
    picture_bytes: list[int] = field(default_factory=list)
    turned_away: int = 0

    def select(self, system: str, load: str, describer: str) -> list[Sample]:
        """Return the samples of one system and load, by round."""
        wanted = (system, load, describer)
        return [s for s in self.samples if (s.system, s.load, s.describer) == wanted]

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Read a file that save() wrote."""
        machine = Machine(**data.pop("machine"))
        samples = [Sample(**sample) for sample in data.pop("samples")]
        return cls(machine=machine, samples=samples, **data)


def backlog_of(data: dict[str, Any]) -> Backlog:
    """Read a file that save() wrote."""
    machine = Machine(**data.pop("machine"))
    small, large = [_drain(d) for d in data.pop("small")], _drain(data.pop("large"))
    return Backlog(machine=machine, small=small, large=large, **data)


def _drain(data: dict[str, Any]) -> Drain:
    done = [(float(at), int(count)) for at, count in data.pop("done")]
    return Drain(done=done, **data)


def save(results: Run | Backlog, file: Path) -> None:
    """Write the results as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dataclasses.asdict(results)) + "\n")
