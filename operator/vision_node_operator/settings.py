"""The operator's settings, which the chart sets as environment variables of its pod."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Self


@dataclass(frozen=True, slots=True)
class Settings:
    """The namespace that the operator manages, the names that it uses, and its time limits."""

    namespace: str
    owner_name: str
    """Name of the ConfigMap with the Describers from the chart's values. The ConfigMap owns these
    Describers and all describer Jobs, so that they are deleted with the release."""
    job_prefix: str
    """First part of the names of describer Jobs. It is the release's name prefix."""
    no_worker: timedelta = timedelta(hours=1)
    """How long a Describer may have no serving worker before its queued ImageJobs fail."""
    inbox_kept: timedelta | None = timedelta(days=7)
    """How long to keep an inbox object that no unfinished ImageJob names; None means forever."""
    identity_name: str = ""
    """Name of the release's identity ConfigMap; empty if an older chart created none."""
    max_imagejobs: int = 30_000
    """Maximum number of ImageJobs to keep."""

    @classmethod
    def from_env(cls) -> Self:
        """Read the settings from the environment variables that the chart sets."""
        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            owner_name=os.environ["DESCRIBERS_CONFIGMAP"],
            job_prefix=os.environ["JOB_PREFIX"],
            no_worker=timedelta(seconds=int(os.environ["NO_WORKER_SECONDS"])),
            # An older chart neither sets INBOX_SECONDS nor lets the operator delete inbox objects.
            inbox_kept=timedelta(seconds=int(os.environ.get("INBOX_SECONDS", "0"))) or None,
            identity_name=os.environ.get("IDENTITY_CONFIGMAP", ""),
            max_imagejobs=int(os.environ.get("MAX_IMAGEJOBS", "30000")),
        )
