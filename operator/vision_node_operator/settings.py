"""The operator's settings, which the chart puts into its pod's environment."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Self


@dataclass(frozen=True, slots=True)
class Settings:
    """The namespace that the operator manages, and how long work and images are kept."""

    namespace: str
    owner_name: str
    """ConfigMap with the Describers of the chart's values. It owns Describers and Jobs, so they are
    deleted with the release."""
    job_prefix: str
    """First part of the names of describer Jobs: the release's name."""
    no_worker: timedelta = timedelta(hours=1)
    """A queued ImageJob fails when its Describer has had no serving worker for this long."""
    inbox_kept: timedelta | None = timedelta(days=7)
    """How long an object in the inbox stays if no unfinished ImageJob names it; None: forever."""

    @classmethod
    def from_env(cls) -> Self:
        """Read the settings from the environment variables that the chart sets."""
        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            owner_name=os.environ["DESCRIBERS_CONFIGMAP"],
            job_prefix=os.environ["JOB_PREFIX"],
            no_worker=timedelta(seconds=int(os.environ["NO_WORKER_SECONDS"])),
            # An older chart neither sets it nor allows the operator to delete objects there.
            inbox_kept=timedelta(seconds=int(os.environ.get("INBOX_SECONDS", "0"))) or None,
        )
