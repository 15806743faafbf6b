"""Settings of the Celery system, which its processes read from environment variables."""

import os
from dataclasses import dataclass
from pathlib import Path

from vision_node_contract.clients.bucket_settings import BucketSettings

DATA_VARIABLE = "BENCH_DATA"
BROKER_VARIABLE = "BENCH_BROKER"


@dataclass(frozen=True, slots=True)
class Settings:
    """The folder for images and the database, the URL of Redis, and the bucket."""

    data: Path
    broker: str
    bucket: BucketSettings

    @classmethod
    def from_env(cls) -> "Settings":
        """Read the settings from the environment."""
        data, broker = Path(os.environ[DATA_VARIABLE]), os.environ[BROKER_VARIABLE]
        return cls(data, broker, BucketSettings.from_env())

    def to_env(self) -> dict[str, str]:
        """Return the settings as environment variables."""
        bucket = self.bucket
        return {
            DATA_VARIABLE: str(self.data),
            BROKER_VARIABLE: self.broker,
            "S3_ENDPOINT": bucket.endpoint,
            "S3_BUCKET": bucket.bucket,
            "S3_REGION": bucket.region,
            "S3_ACCESS_KEY": bucket.access_key,
            "S3_SECRET_KEY": bucket.secret_key,
        }
