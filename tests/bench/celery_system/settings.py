"""Settings of the Celery system, which its processes read from environment variables."""

import os
from dataclasses import dataclass
from pathlib import Path

DATA_VARIABLE = "BENCH_DATA"
BROKER_VARIABLE = "BENCH_BROKER"


@dataclass(frozen=True, slots=True)
class Settings:
    """The folder for images and the database, and the URL of Redis."""

    data: Path
    broker: str

    @classmethod
    def from_env(cls) -> "Settings":
        """Read the settings from the environment."""
        return cls(Path(os.environ[DATA_VARIABLE]), os.environ[BROKER_VARIABLE])

    def to_env(self) -> dict[str, str]:
        """Return the settings as environment variables."""
        return {DATA_VARIABLE: str(self.data), BROKER_VARIABLE: self.broker}
