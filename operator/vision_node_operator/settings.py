"""The operator's settings, which the chart sets as environment variables of its pod."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from vision_node_contract.models.imagejob import DEFAULT_MAX_IMAGEJOBS, DEFAULT_TTL


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
    job_kept: timedelta | None = DEFAULT_TTL
    """How long to keep a finished ImageJob that has no ttlSecondsAfterFinished; None means
    forever."""
    max_imagejobs: int = DEFAULT_MAX_IMAGEJOBS
    """Maximum number of ImageJobs, finished ones included. Without a history, finished ImageJobs
    are deleted early to stay below it."""
    min_job_kept: timedelta = timedelta(minutes=15)
    """How long to keep every finished ImageJob, however many there are. A client that was cut off
    can still read its result."""

    archiver_deletes: bool = False
    """Whether the archiver deletes the stored objects of ImageJobs. With an older chart, the
    operator does."""
    has_history: bool = False
    """Whether the archiver writes finished ImageJobs to a database and then removes them from etcd.
    The operator then deletes only those whose time to live ends."""
    has_imagebatches: bool = False
    """Whether the cluster has the CRD of ImageBatches, and the operator has rights to them. Older
    charts provide neither."""

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
            # Older charts don't set these: JOB_SECONDS, MAX_IMAGEJOBS, ARCHIVES_IMAGEJOBS, HISTORY.
            job_kept=timedelta(
                seconds=int(os.environ.get("JOB_SECONDS", DEFAULT_TTL.total_seconds()))
            )
            or None,
            archiver_deletes=os.environ.get("ARCHIVES_IMAGEJOBS", "") == "true",
            has_history=os.environ.get("HISTORY", "") == "true",
            has_imagebatches=os.environ.get("IMAGEBATCHES", "") == "true",
            max_imagejobs=int(os.environ.get("MAX_IMAGEJOBS", DEFAULT_MAX_IMAGEJOBS)),
        )
