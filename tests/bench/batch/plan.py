"""Sizes of `make bench-batch` and `make bench-uploads`, from the variables of make."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bench.errors import BenchError
from bench.variables import whole_number

MIN_IMAGES = 1000
"""Minimum number of images. In a smaller batch, the first shards take most of the time."""

SPARE_BYTES = 1_000_000_000
"""Space on the disk, in bytes, that the uploads must leave for everything else."""


@dataclass(frozen=True, slots=True)
class LargeBatchPlan:
    """Size and intervals of the measurement."""

    images: int = 100_000
    look_seconds: float = 1.0
    """Seconds between two readings of the ImageBatch. Its status is written once a second."""
    memory_seconds: float = 5.0
    """Seconds between two readings of the memory. A reading takes 0.1 s of CPU time."""
    quick: bool = False

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read QUICK and IMAGES (number of images).

        Raises:
            BenchError: IMAGES is not a number, or is too small.
        """
        quick = env.get("QUICK") == "1"
        default = (
            cls(images=10_000, look_seconds=0.5, memory_seconds=2.0, quick=True) if quick else cls()
        )

        return cls(
            images=whole_number(env, "IMAGES", default.images, least=MIN_IMAGES),
            look_seconds=default.look_seconds,
            memory_seconds=default.memory_seconds,
            quick=quick,
        )


@dataclass(frozen=True, slots=True)
class UploadsPlan:
    """Sizes and intervals of `make bench-uploads`."""

    uploads: int = 4
    """Number of simultaneous uploads."""
    size_mb: int = 2000
    """Size of each upload in millions of bytes."""
    memory_seconds: float = 1.0
    """Seconds between two readings of the memory. A reading takes 0.1 s of CPU time."""
    quick: bool = False

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read QUICK and SIZE_MB.

        Raises:
            BenchError: SIZE_MB is not a whole number of at least 1.
        """
        default = cls(size_mb=200, memory_seconds=0.5, quick=True)
        if env.get("QUICK") != "1":
            default = cls()

        size = whole_number(env, "SIZE_MB", default.size_mb, least=1)
        return dataclasses.replace(default, size_mb=size)

    def require_disk(self, free_bytes: int) -> None:
        """Refuse a disk that the photographs would fill.

        Raises:
            BenchError: It has too little space.
        """
        needed = self.uploads * self.size_bytes + SPARE_BYTES
        if free_bytes < needed:
            raise BenchError(
                f"{self.uploads} uploads of {self.size_mb} MB need {needed / 1e9:.1f} GB on the "
                f"disk of the cluster's node, but {free_bytes / 1e9:.1f} GB are free. Free some "
                "space, or lower SIZE_MB."
            )

    @property
    def size_bytes(self) -> int:
        """Minimum size of the photographs in each upload, in bytes."""
        return self.size_mb * 1_000_000
