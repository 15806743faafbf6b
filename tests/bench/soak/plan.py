"""Length of a soak test, from the variables of `make soak`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bench.variables import whole_number

MIN_SECONDS = 60
"""Smallest retention.imageJobSeconds. An ImageJob is never evicted earlier after its end."""


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """Sizes and intervals of a soak test."""

    images: int = 50_000
    imagejob_seconds: int = 240
    """How long a finished ImageJob stays in etcd. Fewer seconds are possible beyond 2,000 of them,
    which is limits.finishedImageJobs."""
    clients: int = 8
    sample_seconds: float = 5.0
    """Seconds between two samples. A sample takes 0.1 s of CPU time."""
    quick: bool = False

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read QUICK, IMAGES (number of images) and IMAGEJOB_SECONDS.

        Raises:
            BenchError: A value is not a number, or is too small.
        """
        quick = env.get("QUICK") == "1"
        short = cls(images=3000, imagejob_seconds=60, sample_seconds=2.0, quick=True)
        default = short if quick else cls()

        return cls(
            images=whole_number(env, "IMAGES", default.images, least=1),
            imagejob_seconds=whole_number(
                env, "IMAGEJOB_SECONDS", default.imagejob_seconds, least=MIN_SECONDS
            ),
            sample_seconds=default.sample_seconds,
            quick=quick,
        )
