"""Read the bucket's address and our credentials from the environment."""

import os
from dataclasses import dataclass, field
from typing import Self

from ..bucket_keys import BucketFolders


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """Address of the bucket and the credentials to use."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    secure: bool
    region: str = "us-east-1"
    """Region of the bucket. With this setting, the client need not request it from the server."""
    keyless: bool = False
    """Whether to use the credentials of the service account's role. If so, both keys are empty."""
    folders: BucketFolders = field(default_factory=BucketFolders)
    """The release's folders in the bucket."""

    @classmethod
    def from_env(cls) -> Self:
        """Read S3_ENDPOINT (host:port), S3_BUCKET, S3_REGION and S3_SECURE.

        Also read RELEASE_ID, and S3_ACCESS_KEY and S3_SECRET_KEY unless S3_KEYLESS is true.

        Raises:
            KeyError: a variable is missing.
            ValueError: a key is empty, or RELEASE_ID is not the id of a release.
        """
        keyless = os.environ.get("S3_KEYLESS") == "true"

        return cls(
            endpoint=os.environ["S3_ENDPOINT"],
            bucket=os.environ["S3_BUCKET"],
            access_key="" if keyless else _required_key("S3_ACCESS_KEY"),
            secret_key="" if keyless else _required_key("S3_SECRET_KEY"),
            secure=os.environ.get("S3_SECURE", "false") == "true",
            region=os.environ.get("S3_REGION") or "us-east-1",
            keyless=keyless,
            folders=BucketFolders.from_env(),
        )

    @property
    def scheme(self) -> str:
        """Scheme of the bucket's URL (https or http)."""
        return "https" if self.secure else "http"

    def __repr__(self) -> str:
        # The keys are left out, because settings may be logged.
        return f"BucketSettings({self.endpoint}/{self.bucket})"


def _required_key(variable: str) -> str:
    if not os.environ[variable]:
        raise ValueError(f"{variable} is empty: set this key in the storage Secret")
    return os.environ[variable]
