"""Read the API's settings from its pod's environment."""

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from vision_node_contract.callbacks.urls import CallbackRules
from vision_node_contract.history.database import DatabaseSettings
from vision_node_contract.models.imagejob import DEFAULT_MAX_IMAGEJOBS, DEFAULT_TTL

from .owner_limits import LimitsByOwner

MEBIBYTE = 1 << 20

LIMITS = (
    "max_image_bytes",
    "max_image_pixels",
    "max_unfinished_jobs",
    "max_imagejobs",
    "max_batch_images",
    "max_ttl_seconds",
    "upload_memory_bytes",
    "upload_bytes_per_second",
)
"""Names of the numeric settings. Their environment variables have the same names in uppercase."""


SESSION_SECONDS = 43_200
"""Default number of seconds for which a session of the page lasts: a working day."""


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """How the API finds out who sends a request."""

    keys_secret: str
    """Name of the Secret with the API keys."""
    audience: str | None = None
    """Audience that a Kubernetes token must have; None if only API keys are accepted."""
    session_seconds: int = SESSION_SECONDS
    """Number of seconds for which a session of the page lasts."""

    @classmethod
    def from_env(cls) -> Self | None:
        """Read the pod's environment; return None if the API does not authenticate its clients.

        Raises:
            KeyError: authentication is on, but the name of the Secret is missing.
            ValueError: a value is invalid.
        """
        enabled = os.environ.get("AUTH_ENABLED") or "false"
        if enabled not in {"true", "false"}:
            raise ValueError(f"AUTH_ENABLED is {enabled!r}; it must be true or false")
        if enabled == "false":
            return None

        return cls(
            os.environ["KEYS_SECRET"],
            os.environ.get("AUTH_AUDIENCE") or None,
            int(os.environ.get("SESSION_SECONDS") or SESSION_SECONDS),
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the API, such as where it creates ImageJobs and which uploads it accepts."""

    namespace: str
    default_describer: str = "metadata"
    max_image_bytes: int = 20 * MEBIBYTE

    max_image_pixels: int = 100_000_000
    """Maximum number of pixels in an image (width times height). An image of this size takes about
    400 MB when it is decoded, which fits into a worker's memory limit."""

    max_unfinished_jobs: int = 20_000
    """Maximum number of jobs that are queued or processing. Further jobs would wait too long, and
    etcd is not designed for millions of objects."""

    max_imagejobs: int = DEFAULT_MAX_IMAGEJOBS
    """Maximum number of ImageJobs in the namespace, finished ones included. The operator deletes
    finished ones to stay below it, so submissions are refused only where that is not enough."""

    max_batch_images: int = 1_000_000
    """Maximum number of images of an ImageBatch that is uploaded."""

    max_ttl_seconds: int = 604_800
    """Maximum time to live that a submission may ask for, in seconds. The default is a week. It is
    never less than `job_kept`, because a submission may ask for what it would get anyway."""

    job_kept: timedelta | None = DEFAULT_TTL
    """How long a finished job is kept whose submission set no time to live. None means forever,
    which only a release with a database allows."""

    upload_memory_bytes: int = 128 * MEBIBYTE
    """Memory for all uploads that are being received or stored. Each is in memory once. According
    to measurements (docs/performance.md), the process itself takes 75 MiB, and full caches take
    90 MiB. Together, this is less than 300 MiB of the container's 512."""

    upload_bytes_per_second: int = 4096
    """Minimum average rate of uploads. Even the slowest mobile networks (EDGE) are ten times
    faster."""

    inbox_kept: timedelta | None = timedelta(days=7)
    """How long the operator keeps an object under inbox/. None means forever."""

    workers_revision: str = ""
    """Hash of what the chart sets for all workers, such as their image; empty if an older chart
    does not set it. Results of workers with another one are not reused."""

    identity_name: str = ""
    """Name of the release's identity ConfigMap; empty if an older chart created none."""

    owner_limits: LimitsByOwner = field(default_factory=LimitsByOwner)
    """What each owner may do, if clients are authenticated."""

    database: DatabaseSettings | None = None
    """Where the history is; None if the release has no database."""

    callbacks: CallbackRules | None = None
    """What callbacks may reach; None if the release sends nothing to callbacks."""

    auth: AuthSettings | None = None
    """How clients are authenticated; None if the API answers anyone who can reach it."""

    def __post_init__(self) -> None:
        if self.job_kept is not None:
            longest = max(self.max_ttl_seconds, int(self.job_kept.total_seconds()))
            object.__setattr__(self, "max_ttl_seconds", longest)

    @classmethod
    def from_env(cls) -> Self:
        """Read the pod's environment, which charts/vision-node/templates/api.yaml sets.

        Older charts do not set every variable. A limit that is not set keeps its default. If
        INBOX_SECONDS is not set, images are kept in the inbox forever, because older charts do not
        allow the operator to delete them.
        """
        limits = {
            name: int(os.environ[name.upper()]) for name in LIMITS if name.upper() in os.environ
        }
        inbox_seconds = int(os.environ.get("INBOX_SECONDS", "0"))
        job_kept = timedelta(
            seconds=int(os.environ.get("JOB_SECONDS", DEFAULT_TTL.total_seconds()))
        )
        database = DatabaseSettings.from_env()

        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            default_describer=os.environ["DEFAULT_DESCRIBER"],
            inbox_kept=timedelta(seconds=inbox_seconds) or None,
            workers_revision=os.environ.get("WORKERS_REVISION", ""),
            identity_name=os.environ.get("IDENTITY_CONFIGMAP", ""),
            job_kept=None if database and not job_kept else job_kept,
            owner_limits=LimitsByOwner.from_env(),
            database=database,
            callbacks=CallbackRules.from_env() if database else None,
            auth=AuthSettings.from_env(),
            **limits,
        )
