"""The archiver's settings, which the chart sets as environment variables of its pod."""

import os
from dataclasses import dataclass
from typing import Self

DEFAULT_MAX_IMAGES = 1_000_000
"""Maximum number of images in an ImageBatch if the chart does not set it. Listing a million objects
takes a minute, and checking their customIds takes up to 24 MiB of memory."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The namespace that the archiver works in, its release's identity, and its limits."""

    namespace: str
    identity_name: str = ""
    """Name of the release's identity ConfigMap; empty if the chart sets none, so that nothing is
    deleted."""
    max_images: int = DEFAULT_MAX_IMAGES
    """Maximum number of images in an ImageBatch."""

    @classmethod
    def from_env(cls) -> Self:
        """Read the settings from the environment variables that the chart sets."""
        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            identity_name=os.environ.get("IDENTITY_CONFIGMAP", ""),
            max_images=int(os.environ.get("MAX_BATCH_IMAGES", DEFAULT_MAX_IMAGES)),
        )
