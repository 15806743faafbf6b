"""The archiver's settings, which the chart sets as environment variables of its pod."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from vision_node_contract.callbacks.urls import CallbackRules
from vision_node_contract.history.database import DatabaseSettings

from .jobs.eviction import MIN_STAY

DEFAULT_MAX_IMAGES = 1_000_000
"""Maximum number of images in an ImageBatch if the chart does not set it. Listing a million objects
takes a minute, and checking their customIds takes up to 24 MiB of memory."""

DEFAULT_HISTORY_SECONDS = 30 * 86_400
"""How long the data of a job is kept if the chart does not set it, in seconds."""

DEFAULT_IMAGEJOB_SECONDS = 3600
"""How long a finished ImageJob stays in etcd if the chart does not set it, in seconds. For this
hour, kubectl shows it."""

DEFAULT_MAX_FINISHED = 2000
"""How many finished ImageJobs stay in etcd if the chart does not set it. They take 40 MB of the API
server's memory."""

DEFAULT_API_ROLE = "vision_node_api"
"""The API's role in the database if the chart does not set it."""


DEFAULT_WEBHOOK_HOURS = 72
"""Up to which age a message to a callback is tried again if the chart does not set it, in hours: a
receiver may be away for a weekend."""

WEBHOOK_FOLDER = "/etc/vision-node/webhooks"
"""Where the chart mounts the Secret with which messages are signed."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """What messages to callbacks may reach, and how long they are tried."""

    rules: CallbackRules
    max_age: timedelta = timedelta(hours=DEFAULT_WEBHOOK_HOURS)
    folder: str = WEBHOOK_FOLDER

    @classmethod
    def from_env(cls) -> Self | None:
        """Read the settings; return None if the release sends no messages.

        Raises:
            ValueError: A variable is invalid.
        """
        rules = CallbackRules.from_env()
        if rules is None:
            return None

        hours = int(os.environ.get("WEBHOOK_MAX_HOURS") or DEFAULT_WEBHOOK_HOURS)
        folder = os.environ.get("WEBHOOK_FOLDER") or WEBHOOK_FOLDER
        return cls(rules, timedelta(hours=hours), folder)


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """Where the history is, and how long everything stays."""

    database: DatabaseSettings
    api_role: str = DEFAULT_API_ROLE
    """Role that gets the right to read the history."""
    data: timedelta | None = timedelta(seconds=DEFAULT_HISTORY_SECONDS)
    """Default time to live of a job's data; None means forever."""
    imagejobs: timedelta = timedelta(seconds=DEFAULT_IMAGEJOB_SECONDS)
    """How long a finished ImageJob stays in etcd."""
    max_finished: int = DEFAULT_MAX_FINISHED
    """How many finished ImageJobs stay in etcd."""
    evict_floor: timedelta = MIN_STAY
    """How long every finished ImageJob stays in etcd, whatever the limits say. Tests shorten it
    with EVICT_FLOOR_SECONDS, which the chart does not set."""
    images: timedelta | None = None
    """How long the image of a finished job is kept; None means as long as the job's data."""
    webhooks: WebhookSettings | None = None
    """How messages are sent to callbacks; None if the release sends none."""

    @classmethod
    def from_env(cls) -> Self | None:
        """Read the settings; return None if the release has no database.

        Raises:
            ValueError: A variable is invalid.
        """
        database = DatabaseSettings.from_env()
        if database is None:
            return None

        data = int(os.environ.get("JOB_SECONDS") or DEFAULT_HISTORY_SECONDS)
        images = os.environ.get("IMAGE_SECONDS", "")
        imagejobs = int(os.environ.get("IMAGEJOB_SECONDS") or DEFAULT_IMAGEJOB_SECONDS)
        floor = os.environ.get("EVICT_FLOOR_SECONDS")

        return cls(
            database=database,
            api_role=os.environ.get("DATABASE_API_ROLE") or DEFAULT_API_ROLE,
            data=timedelta(seconds=data) if data else None,
            imagejobs=timedelta(seconds=imagejobs),
            max_finished=int(os.environ.get("MAX_FINISHED_IMAGEJOBS") or DEFAULT_MAX_FINISHED),
            evict_floor=timedelta(seconds=int(floor)) if floor else MIN_STAY,
            images=timedelta(seconds=int(images)) if images else None,
            webhooks=WebhookSettings.from_env(),
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """The namespace that the archiver works in, its release's identity, and its limits."""

    namespace: str
    identity_name: str = ""
    """Name of the release's identity ConfigMap; empty if the chart is too old to create one. Then
    nothing is swept."""
    max_images: int = DEFAULT_MAX_IMAGES
    """Maximum number of images in an ImageBatch."""
    archives_imagejobs: bool = False
    """Whether the archiver deletes the objects of ImageJobs. Older charts do not set it, and the
    operator does that."""
    history: HistorySettings | None = None
    """None if the release has no database."""

    @classmethod
    def from_env(cls) -> Self:
        """Read the settings from the environment variables that the chart sets."""
        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            identity_name=os.environ.get("IDENTITY_CONFIGMAP", ""),
            max_images=int(os.environ.get("MAX_BATCH_IMAGES", DEFAULT_MAX_IMAGES)),
            archives_imagejobs=os.environ.get("ARCHIVES_IMAGEJOBS") == "true",
            history=HistorySettings.from_env(),
        )
