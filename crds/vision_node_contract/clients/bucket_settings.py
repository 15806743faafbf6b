"""Settings of the bucket: its address and our credentials, read from the environment."""

import os
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """Address of the bucket and the credentials to use."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    secure: bool
    region: str = "us-east-1"
    """Region of the bucket; set here so that the client need not ask the server for it."""
    keyless: bool = False
    """Whether to use the credentials of the service account's role; both keys are empty then."""

    @classmethod
    def from_env(cls) -> Self:
        """Read S3_ENDPOINT (host:port), S3_BUCKET, S3_REGION and S3_SECURE.

        Also read S3_ACCESS_KEY and S3_SECRET_KEY, unless S3_KEYLESS is true.

        Raises:
            KeyError: a variable is missing.
            ValueError: a key is empty.
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
        )

    @property
    def scheme(self) -> str:
        """The URL's scheme: https or http."""
        return "https" if self.secure else "http"

    def __repr__(self) -> str:
        # Settings end up in logs sooner or later, so the keys are left out.
        return f"BucketSettings({self.endpoint}/{self.bucket})"


def _required_key(variable: str) -> str:
    if not os.environ[variable]:
        raise ValueError(f"{variable} is empty: set this key in the storage Secret")
    return os.environ[variable]
