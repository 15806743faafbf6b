"""What the API is told by its pod's environment."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

MEBIBYTE = 1 << 20


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
    """For all uploads that are being received or stored. Measured: the process takes 70 MB, full caches
    170 MB, and Python before 3.12.9 copies what it stores once more; that fits into 512 MiB."""
    upload_bytes_per_second: int = 4096
    """The least average rate of an upload; the slowest mobile networks (EDGE) do ten times as much."""
    inbox_kept: timedelta | None = timedelta(days=7)
    """How long the operator lets an object under inbox/ be; None: for ever."""

    @classmethod
    def from_env(cls) -> Self:
        """Read the pod's environment, as charts/vision-node/templates/api.yaml sets it."""
        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            default_describer=os.environ["DEFAULT_DESCRIBER"],
            max_image_bytes=int(os.environ["MAX_IMAGE_BYTES"]),
            max_image_pixels=int(os.environ["MAX_IMAGE_PIXELS"]),
            max_unfinished_jobs=int(os.environ["MAX_UNFINISHED_JOBS"]),
            upload_memory_bytes=int(os.environ["UPLOAD_MEMORY_BYTES"]),
            upload_bytes_per_second=int(os.environ["UPLOAD_BYTES_PER_SECOND"]),
            inbox_kept=timedelta(seconds=int(os.environ["INBOX_SECONDS"])) or None,
        )
