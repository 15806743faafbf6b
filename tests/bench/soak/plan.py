"""Length of a soak test, from the variables of `make soak`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bench.variables import whole_number

MIN_TTL_SECONDS = 60
"""Smallest ttlSeconds that `POST /submit` accepts."""


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """Sizes and intervals of a soak test."""

    images: int = 50_000
    ttl_seconds: int = 240
    """How long a finished ImageJob is kept."""
    clients: int = 8
    sample_seconds: float = 5.0
    """Seconds between two samples. A sample takes 0.1 s of CPU time."""
    quick: bool = False

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read QUICK, IMAGES (number of images) and TTL (in seconds).

        Raises:
            BenchError: A value is not a number, or is too small.
        """
        quick = env.get("QUICK") == "1"
        default = (
            cls(images=3000, ttl_seconds=60, sample_seconds=2.0, quick=True) if quick else cls()
        )

        return cls(
            images=whole_number(env, "IMAGES", default.images, least=1),
            ttl_seconds=whole_number(env, "TTL", default.ttl_seconds, least=MIN_TTL_SECONDS),
            sample_seconds=default.sample_seconds,
            quick=quick,
        )
