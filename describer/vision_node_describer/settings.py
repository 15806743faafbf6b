"""What a worker is told by its pod's environment."""

import os
from dataclasses import dataclass
from typing import Self

from .describers.imaging.picture import DEFAULT_MAX_PIXELS


@dataclass(frozen=True, slots=True)
class Settings:
    """Who the worker is and what it runs."""

    namespace: str
    pod_name: str
    pod_uid: str
    describer: str
    """The Describer's name, which results carry."""
    provider: str
    """Which describer to run."""
    concurrency: int
    """ImageJobs held at once: while one decodes, others fetch and commit."""
    max_image_bytes: int
    memory_limit_bytes: int
    """Of the container; the node's memory if it has none."""
    max_images: int = 0
    """Ends after so many assignments; 0: never."""
    max_attempts: int = 3
    """Of an ImageJob that says nothing of its own."""
    timeout_seconds: float = 60.0
    """Of an attempt at an ImageJob that says nothing of its own."""
    fallback: str | None = None
    """The Describer that stands in when the worker's own lacks its provider."""
    max_image_pixels: int = DEFAULT_MAX_PIXELS
    """Maximum width × height of an image, as in the API."""

    @classmethod
    def from_env(cls) -> Self:
        """Read the pod's environment, as charts/vision-node/templates/_describers.tpl and pools.py set it."""
        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            pod_name=os.environ["POD_NAME"],
            pod_uid=os.environ["POD_UID"],
            describer=os.environ["DESCRIBER"],
            provider=os.environ["PROVIDER"],
            concurrency=int(os.environ["CONCURRENCY"]),
            max_image_bytes=int(os.environ["MAX_IMAGE_BYTES"]),
            memory_limit_bytes=int(os.environ["MEMORY_LIMIT_BYTES"]),
            # An older chart does not set it.
            max_image_pixels=int(os.environ.get("MAX_IMAGE_PIXELS") or DEFAULT_MAX_PIXELS),
            max_images=int(os.environ["MAX_IMAGES"]),
            max_attempts=int(os.environ["MAX_ATTEMPTS"]),
            timeout_seconds=float(os.environ["TIMEOUT_SECONDS"]),
            fallback=os.environ.get("FALLBACK") or None,
        )
