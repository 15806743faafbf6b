"""Length of `make bench-batch`, from the variables of make."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bench.variables import whole_number

MIN_IMAGES = 1000
"""Minimum number of images. In a smaller batch, the first shards take most of the time."""


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
