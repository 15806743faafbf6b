"""What a worker is told by its pod's environment."""

import os
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Settings:
    """Who the worker is and what it runs."""

    namespace: str
    pod_name: str
    pod_uid: str
    describer: str
    concurrency: int
    """ImageJobs held at once: while one decodes, others fetch and commit."""
    max_image_bytes: int

    @classmethod
    def from_env(cls) -> Self:
        """Read POD_NAMESPACE, POD_NAME, POD_UID (downward API), DESCRIBER, CONCURRENCY, MAX_IMAGE_BYTES."""
        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            pod_name=os.environ["POD_NAME"],
            pod_uid=os.environ["POD_UID"],
            describer=os.environ["DESCRIBER"],
            concurrency=int(os.environ["CONCURRENCY"]),
            max_image_bytes=int(os.environ["MAX_IMAGE_BYTES"]),
        )
