"""Results of `make bench-uploads`. They are saved as a JSON file."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from bench.results import Machine


@dataclass
class UploadTime:
    """One upload of `make bench-uploads`."""

    kind: str
    images: int
    size_bytes: int
    seconds: float
    """Seconds from the first byte of the request until its response."""


@dataclass
class SimultaneousUploads:
    """Results of `make bench-uploads`. Times are in seconds since the first request began."""

    machine: Machine
    size_mb: int
    """Planned size of each upload in millions of bytes."""
    uploads: list[UploadTime] = field(default_factory=list)
    upload_seconds: float = 0.0
    """Time until the last response."""
    seconds: float = 0.0
    """Time until all ImageBatches were complete."""
    memory_before: dict[str, int] = field(default_factory=dict)
    """Memory in bytes by component before the uploads."""
    memory: dict[str, int] = field(default_factory=dict)
    """Maximum memory in bytes by component until all ImageBatches were complete."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    emptied_seconds: float = 0.0
    """How long it took to delete the ImageBatches with their objects, in seconds."""

    @property
    def images(self) -> int:
        """Number of all images."""
        return sum(it.images for it in self.uploads)

    @property
    def size_bytes(self) -> int:
        """Size of all uploads in bytes."""
        return sum(it.size_bytes for it in self.uploads)


def save(found: SimultaneousUploads, file: Path) -> None:
    """Write the results to a JSON file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dataclasses.asdict(found)) + "\n")
