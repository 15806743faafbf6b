"""What the operator is told by its pod's environment."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Self


@dataclass(frozen=True, slots=True)
class Settings:
    """Where it works, and for how long work may wait."""

    namespace: str
    owner_name: str
    """ConfigMap with what the chart says of Describers. It owns their Jobs: they go with the
    release."""
    job_prefix: str
    no_worker: timedelta = timedelta(hours=1)
    """A queued ImageJob fails when its Describer has had no worker that serves for so long."""
    inbox_kept: timedelta | None = timedelta(days=7)
    """How long an object under inbox/ stays unless an unfinished ImageJob names it; None: forever."""

    @classmethod
    def from_env(cls) -> Self:
        """Read POD_NAMESPACE, DESCRIBERS_CONFIGMAP, JOB_PREFIX, NO_WORKER_SECONDS and INBOX_SECONDS."""
        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            owner_name=os.environ["DESCRIBERS_CONFIGMAP"],
            job_prefix=os.environ["JOB_PREFIX"],
            no_worker=timedelta(seconds=int(os.environ["NO_WORKER_SECONDS"])),
            # An older chart neither sets it nor allows the operator to delete objects there.
            inbox_kept=timedelta(seconds=int(os.environ.get("INBOX_SECONDS", "0"))) or None,
        )
