"""The settings of a worker, read from the environment of its pod."""

import os
from dataclasses import dataclass
from typing import Self

from .describers.imaging.limits import DEFAULT_MAX_PIXELS


@dataclass(frozen=True, slots=True)
class Settings:
    """The worker's identity, its describer and its limits."""

    namespace: str
    pod_name: str
    pod_uid: str
    describer: str
    """Name of the Describer resource. Each result contains this name."""
    provider: str
    """The describer to run, which is a name in DESCRIBERS or `package.module:Class`."""
    concurrency: int
    """Maximum number of concurrent ImageJobs. While one image is decoded, others are fetched."""
    max_image_bytes: int
    memory_limit_bytes: int
    """The container's memory limit, or the node's memory if the container has no limit."""
    max_images: int = 0
    """Number of assignments after which the worker exits. 0 means no limit."""
    max_attempts: int = 3
    """Maximum number of attempts if an ImageJob does not set `maxAttempts`."""
    timeout_seconds: float = 60.0
    """Timeout of an attempt, in seconds, if its ImageJob does not set `timeoutSeconds`."""
    fallback: str | None = None
    """Name of the Describer to use while this Describer's provider has an outage."""
    max_image_pixels: int = DEFAULT_MAX_PIXELS
    """Maximum number of pixels (width × height) of an image. The API has the same limit."""

    @classmethod
    def from_env(cls) -> Self:
        """Read the environment variables that the operator (pool.py) and the chart set."""
        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            pod_name=os.environ["POD_NAME"],
            pod_uid=os.environ["POD_UID"],
            describer=os.environ["DESCRIBER"],
            provider=os.environ["PROVIDER"],
            concurrency=int(os.environ["CONCURRENCY"]),
            max_image_bytes=int(os.environ["MAX_IMAGE_BYTES"]),
            memory_limit_bytes=int(os.environ["MEMORY_LIMIT_BYTES"]),
            # Charts of older releases do not set this variable.
            max_image_pixels=int(os.environ.get("MAX_IMAGE_PIXELS") or DEFAULT_MAX_PIXELS),
            max_images=int(os.environ["MAX_IMAGES"]),
            max_attempts=int(os.environ["MAX_ATTEMPTS"]),
            timeout_seconds=float(os.environ["TIMEOUT_SECONDS"]),
            fallback=os.environ.get("FALLBACK") or None,
        )
