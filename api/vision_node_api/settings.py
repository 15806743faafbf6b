"""What the API is told by its pod's environment."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

MEBIBYTE = 1 << 20

LIMITS = (
    "max_image_bytes",
    "max_image_pixels",
    "max_unfinished_jobs",
    "upload_memory_bytes",
    "upload_bytes_per_second",
)
"""Numeric settings; their environment variables have the same names in uppercase."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where ImageJobs go and what is let in."""

    namespace: str
    default_describer: str = "metadata"
    max_image_bytes: int = 20 * MEBIBYTE
    max_image_pixels: int = 100_000_000
    """Decoded, about 400 MB: what a worker's memory limit has room for."""
    max_unfinished_jobs: int = 20_000
    """What waits beyond that would wait too long, and etcd is not made for millions."""
    upload_memory_bytes: int = 128 * MEBIBYTE
    """For all uploads that are being received or stored. Measured: the process takes 70 MB, full
    caches 170 MB, and Python before 3.12.9 copies what it stores once more; that fits into 512 MiB.
    """
    upload_bytes_per_second: int = 4096
    """The least average rate of an upload; the slowest mobile networks (EDGE) do ten times as much."""
    inbox_kept: timedelta | None = timedelta(days=7)
    """How long the operator keeps an object under inbox/; None: forever."""

    @classmethod
    def from_env(cls) -> Self:
        """Read the pod's environment, as charts/vision-node/templates/api.yaml sets it.

        A limit that is not set has its default, because older charts do not set all of them. They
        also do not allow the operator to delete images from the inbox.
        """
        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            default_describer=os.environ["DEFAULT_DESCRIBER"],
            inbox_kept=timedelta(seconds=int(os.environ.get("INBOX_SECONDS", "0"))) or None,
            **{
                name: int(os.environ[name.upper()]) for name in LIMITS if name.upper() in os.environ
            },
        )
