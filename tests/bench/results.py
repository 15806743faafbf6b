"""Results of the benchmarks. They are saved as JSON files."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

VISION_NODE, CELERY, JOB_PER_IMAGE = "vision-node", "Celery", "Job per image"
SYSTEMS = (VISION_NODE, CELERY, JOB_PER_IMAGE)

DRIVER = "driver"
CELERY_PREFIX = "celery "
"""Name of the load driver, and prefix in the names of the Celery system's components."""

NO_ROWS, MANY_ROWS = "without rows", "with rows"
"""States of the database."""


@dataclass
class Sample:
    """Results for one system under one load in one round."""

    system: str
    load: str
    describer: str
    round: int
    images: int
    seconds: float
    """Seconds from the first submission until a client saw that the last job was done."""
    latencies: list[float]
    """Seconds from each submission until the client saw that the job was done."""
    per_second: float = 0.0
    """Arrivals per second, for Poisson arrivals."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """CPU-seconds by component, including the components of idle systems."""
    others_cores: float = 0.0
    """Average number of the systems' cores that other programs used."""
    writes: float = 0.0
    """ImageJob writes that the API server accepted."""
    conflicts: float = 0.0
    """ImageJob writes that failed because of a conflict."""
    batch_writes: float = 0.0
    """Writes and deletions of ImageJobs and ImageBatches that the API server accepted."""
    upload_seconds: float = 0.0
    """Seconds until the response to a request with all images; 0 if there was none."""

    @property
    def images_per_second(self) -> float:
        """Throughput in images per second."""
        return self.images / self.seconds


@dataclass
class Machine:
    """The machine on which the benchmark ran, and the software versions."""

    processor: str
    cores: int
    system_cores: int
    """Number of cores that the systems could use."""
    driver_apart: bool
    """Whether the load driver and the systems used different cores."""
    started: str
    quick: bool
    commit: str
    versions: dict[str, str]


@dataclass
class Drain:
    """Results for a backlog. Times are in seconds since the operator was restarted."""

    images: int
    first_done: float
    last_done: float
    done: list[tuple[float, int]]
    """Points of a curve. Each one is a time and the number of jobs that were done by then."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def images_per_second(self) -> float:
        """Throughput between the completion of the first job and that of the last job."""
        return (self.images - 1) / (self.last_done - self.first_done)


@dataclass
class Backlog:
    """Results of `make bench-backlog`."""

    machine: Machine
    small: list[Drain]
    large: Drain
    memory: dict[str, dict[str, int]]
    """Memory in bytes by number of ImageJobs (as text, because it is a JSON key) and component."""
    operator_peak_bytes: int
    list_page_seconds: list[float]
    imagejob_bytes: list[int]
    """Sizes of finished ImageJobs in etcd, in bytes."""
    database_bytes: float
    """Size of etcd's database with all ImageJobs, including history that is not yet compacted."""


@dataclass
class Run:
    """Results of `make bench`."""

    machine: Machine
    samples: list[Sample] = field(default_factory=list)
    cold_seconds: list[float] = field(default_factory=list)
    """Seconds from submission until the job is done, if no worker is running at first."""
    idle_cores: dict[str, float] = field(default_factory=dict)
    """Average number of cores by component while the system is idle and no worker is running."""
    imagejob_bytes: list[int] = field(default_factory=list)
    picture_bytes: list[int] = field(default_factory=list)
    turned_away: int = 0
    """Number of submissions to vision-node that were rejected at first and then repeated."""
    first_result_seconds: list[float] = field(default_factory=list)
    """Seconds from the creation of a batch until the API returned a result of it."""

    def select(self, system: str, load: str, describer: str) -> list[Sample]:
        """Return the samples for a system, a load and a describer."""
        wanted = (system, load, describer)
        return [s for s in self.samples if (s.system, s.load, s.describer) == wanted]

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Return the results from JSON that save() wrote."""
        machine = Machine(**data.pop("machine"))
        samples = [Sample(**sample) for sample in data.pop("samples")]
        return cls(machine=machine, samples=samples, **data)


@dataclass
class LargeBatch:
    """Results of `make bench-batch`. Times are in seconds since the ImageBatch was created."""

    machine: Machine
    images: int
    manifest_seconds: float
    """Time until the manifest was frozen."""
    seconds: float
    """Time until the ImageBatch was complete."""
    counted: list[tuple[float, int]]
    """Points of a curve. Each one is a time and the number of images that were counted by then."""
    batch_bytes: int
    """Maximum size of the ImageBatch in bytes."""
    imagejobs: int
    """Maximum number of ImageJobs at a time."""
    memory_before: dict[str, int]
    """Memory in bytes by component before the ImageBatch was created."""
    memory: dict[str, int]
    """Maximum memory in bytes by component."""
    cpu_seconds: dict[str, float]
    batch_writes: float
    """Writes and deletions of ImageJobs and ImageBatches that the API server accepted."""
    results_seconds: float
    """How long it took to read all results through the API, in seconds."""
    results_bytes: int
    missing: int
    """Number of images without a result."""
    repeated: int
    """Number of results beyond the first one of each image."""
    deleted_seconds: float
    """How long it took until the ImageBatch and its shards were deleted, in seconds."""

    @property
    def images_per_second(self) -> float:
        """Throughput from the creation until the ImageBatch was complete."""
        return self.images / self.seconds

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Return the results from JSON that save() wrote."""
        machine = Machine(**data.pop("machine"))
        counted = [(float(at), int(count)) for at, count in data.pop("counted")]
        return cls(machine=machine, counted=counted, **data)


def _states() -> dict[str, list[float]]:
    return {NO_ROWS: [], MANY_ROWS: []}


@dataclass
class HistoryEffect:
    """Results of `make bench-history-cluster`. Times are in seconds, by state of the database."""

    machine: Machine
    rows: int
    fill_seconds: float = 0.0
    start_seconds: dict[str, list[float]] = field(default_factory=_states)
    """Times until the operator was ready."""
    submit_seconds: dict[str, list[float]] = field(default_factory=_states)
    """Times until the API acknowledged an image."""

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Return the results from JSON that save() wrote."""
        return cls(machine=Machine(**data.pop("machine")), **data)


def backlog_of(data: dict[str, Any]) -> Backlog:
    """Return the results from JSON that save() wrote."""
    machine = Machine(**data.pop("machine"))
    small, large = [_drain(d) for d in data.pop("small")], _drain(data.pop("large"))
    return Backlog(machine=machine, small=small, large=large, **data)


def large_batches(folder: Path) -> list[LargeBatch]:
    """Return the results of large batches, by size.

    Those of quick runs are left out, unless there are no others.
    """
    found = [LargeBatch.of(json.loads(it.read_text())) for it in folder.glob("batch-*.json")]
    by_size = sorted(found, key=lambda it: it.images)
    return [it for it in by_size if not it.machine.quick] or by_size


def _drain(data: dict[str, Any]) -> Drain:
    done = [(float(at), int(count)) for at, count in data.pop("done")]
    return Drain(done=done, **data)


def save(results: Run | Backlog | LargeBatch | HistoryEffect, file: Path) -> None:
    """Write the results to a JSON file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dataclasses.asdict(results)) + "\n")
