"""Settings that the API reads from its pod's environment."""

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
    """Settings of the API: where ImageJobs are created, and which uploads are accepted."""

    namespace: str
    default_describer: str = "metadata"
    max_image_bytes: int = 20 * MEBIBYTE

    max_image_pixels: int = 100_000_000
    """Maximum pixels of an image, width times height. Decoded, such an image takes about 400 MB,
    which fits into a worker's memory limit."""

    max_unfinished_jobs: int = 20_000
    """Maximum number of jobs that are queued or processing. More jobs would wait too long, and etcd
    is not designed for millions of objects."""

    upload_memory_bytes: int = 128 * MEBIBYTE
    """Memory for all uploads that are being received or stored. According to measurements, the
    process takes 70 MB and full caches take 170 MB, and Python before 3.12.9 copies each upload
    once more while storing it. Together, that fits into 512 MiB."""

    upload_bytes_per_second: int = 4096
    """Minimum average rate of uploads; the slowest mobile networks (EDGE) are ten times faster."""

    inbox_kept: timedelta | None = timedelta(days=7)
    """How long the operator keeps an object under inbox/. None means forever."""

    @classmethod
    def from_env(cls) -> Self:
        """Read the pod's environment, as charts/vision-node/templates/api.yaml sets it.

        A limit that is not set has its default, because older charts do not set all of them. Older
        charts also do not allow the operator to delete images from the inbox.
        """
        limits = {
            name: int(os.environ[name.upper()]) for name in LIMITS if name.upper() in os.environ
        }
        inbox_seconds = int(os.environ.get("INBOX_SECONDS", "0"))

        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            default_describer=os.environ["DEFAULT_DESCRIBER"],
            inbox_kept=timedelta(seconds=inbox_seconds) or None,
            **limits,
        )
