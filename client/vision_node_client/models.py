"""What the server returns, as immutable objects. Unknown fields of responses are ignored."""

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
"""A JSON object."""

Phase = Literal["queued", "processing", "done", "failed"]
"""The phase of a job or of a batch."""

ResultPhase = Literal["done", "failed"]
"""The phase of an image in the results of a batch."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an image was not described, or why a batch failed."""

    reason: str
    """Word in CamelCase that programs can act on."""
    message: str
    """What happened, and what to do."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job, which describes one image."""

    id: str
    status: Phase
    describer: str | None = None
    """The name of its Describer; None directly after the submission."""
    error: Failure | None = None
    """Why it failed; None if it did not."""
    reused: bool = False
    """Whether it is the job of an earlier submission, because of the option `reuse`. It is known
    only directly after the submission."""

    @property
    def finished(self) -> bool:
        """Whether it is done or has failed."""
        return self.status in {"done", "failed"}


@dataclass(frozen=True, slots=True)
class RetriedJob:
    """A job that was created to describe the image of another one again."""

    id: str
    retry_of: str
    """The id of the other one."""


@dataclass(frozen=True, slots=True)
class NotRetriedJob:
    """A failed job that could not be retried, and why."""

    id: str
    reason: str
    """Word in CamelCase that programs can act on, such as `ImageGone`."""
    detail: str
    """What happened, and what to do."""


@dataclass(frozen=True, slots=True)
class RetriedJobs:
    """What has become of failed jobs that were to be retried."""

    retried: tuple[RetriedJob, ...]
    failed: tuple[NotRetriedJob, ...]
    next_cursor: str | None
    """Where to continue, as `cursor` of the next call; None if all have been looked at."""


@dataclass(frozen=True, slots=True)
class Description:
    """The description of an image."""

    text: str
    """The whole description."""
    caption: str | None
    """One sentence."""
    alt: str | None
    """Text for the attribute `alt` in HTML."""
    tags: tuple[str, ...]
    text_in_image: str | None
    """The text that was read in the image."""
    document: Json = field(repr=False, hash=False)
    """The result as the server sent it, with everything else, such as `facts`."""

    def __str__(self) -> str:
        """Return the whole description."""
        return self.text


@dataclass(frozen=True, slots=True)
class Describer:
    """A Describer that a submission may name, and its state."""

    name: str
    provider: str
    model: str | None
    ready: bool
    reason: str | None
    """Why it is ready or not: a word in CamelCase."""
    message: str | None
    default: bool
    """Whether it is used if a submission names none."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of images in a batch."""

    total: int
    """0 until the images have been listed."""
    done: int
    failed: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The state of a batch."""

    name: str
    uid: str
    status: Phase
    images: Counts
    rate: float | None
    """Images per second; None if there is none yet."""
    remaining_seconds: float | None
    """How long the remaining images take at this rate; None if that is unknown."""
    suspended: bool
    parts: int
    """Number of parts of its results; the maximum of `after`."""
    error: Failure | None
    """Why it failed; None if it did not."""
    waiting: Failure | None
    """Why no image can be described at present; it continues by itself. None if it can."""
    document: Json = field(repr=False, hash=False)
    """The state as the server sent it."""

    @property
    def finished(self) -> bool:
        """Whether it is done or has failed."""
        return self.status in {"done", "failed"}


@dataclass(frozen=True, slots=True)
class ListedBatch:
    """A batch in a list of batches."""

    name: str
    status: Phase
    describer: str
    images: Counts
    created_at: str | None
    """When it was created, in UTC (RFC 3339)."""
    document: Json = field(repr=False, hash=False)
    """The entry as the server sent it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that is not an image of a batch, and why."""

    file: str
    reason: str
    """Word in CamelCase that programs can act on, such as `UnsupportedFormat`."""
    message: str


@dataclass(frozen=True, slots=True)
class CreatedBatch:
    """A batch that has just been created."""

    name: str
    uid: str
    status: Phase
    images: int
    """Number of accepted images; 0 if the server lists the images itself."""
    skipped: int
    """Number of files that are no images by their names, such as hidden ones."""
    refused: tuple[Refusal, ...]
    """Files that were refused. The others are described all the same."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image that the server has received for a batch that is not started yet."""

    custom_id: str
    size: int
    """Number of bytes."""


@dataclass(frozen=True, slots=True)
class Result:
    """A line of the results of a batch: an image with its description or an error.

    A few lines stand for several images whose results were lost. They have no index.
    """

    index: int | None
    """Its place in the list of images, starting at 0."""
    custom_id: str | None
    """Its name in the batch, such as its path in the folder."""
    description: Description | None
    error: Failure | None
    document: Json = field(repr=False, hash=False)
    """The line as the server sent it."""


@dataclass(frozen=True, slots=True)
class Part:
    """Results that were counted at the same time. A part never changes."""

    after: int
    """Number of parts up to and including this one. As `after`, it continues behind it."""
    results: tuple[Result, ...]


EventKind = Literal["job", "batch", "deleted", "reset"]
"""The kind of an event."""


@dataclass(frozen=True, slots=True)
class Event:
    """A new state of a job or a batch.

    After `reset`, changes may have been missed: read the lists again. Then events continue.
    """

    kind: EventKind
    id: str | None
    """As `last_event_id`, it continues behind this event; None if the server sent none."""
    job: Job | None
    """The state of a job, if this is the kind."""
    batch: Batch | None
    """The state of a batch, if this is the kind."""
    document: Json = field(repr=False, hash=False)
    """The data as the server sent it. A deletion has `job_id` or `batch`, a reset `reason`."""

    @property
    def finished(self) -> bool:
        """Whether no other state of this job or batch follows."""
        found = self.job or self.batch
        return self.kind == "deleted" or (found is not None and found.finished)


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job, or an image of a batch, in a list of jobs."""

    id: str
    """Its id; for an image of a batch, `<batch>.<index>`."""
    status: Phase
    describer: str
    created_at: str | None
    """When it was created, in UTC (RFC 3339)."""
    caption: str | None
    """The beginning of its caption."""
    error: Failure | None
    document: Json = field(repr=False, hash=False)
    """The entry as the server sent it."""


@dataclass(frozen=True, slots=True)
class Callback:
    """The state of the message to a callback (`callbackURL`). Times are in UTC (RFC 3339)."""

    state: str
    """`pending`, `delivered`, `failed` (given up), or one of a newer server."""
    attempts: int
    """Number of attempts so far."""
    last_error: str | None
    """Why the last attempt failed: reason and sentence."""
    next_attempt_at: str | None
    """When the message is sent (again); None if it is not, or is not due yet."""
    delivered_at: str | None


@dataclass(frozen=True, slots=True)
class JobDetails:
    """Everything about a job, or about an image of a batch."""

    id: str
    status: Phase
    describer: str
    created_at: str | None
    """When it was created, in UTC (RFC 3339)."""
    description: Description | None
    """None if there is none, or if it can't be read."""
    error: Failure | None
    """Why it failed; None if it did not."""
    result_error: Failure | None
    """Why its description can't be read; None if it can, or if there is none."""
    cursor: str | None
    """Where an export continues behind this job; None if this is no export."""
    document: Json = field(repr=False, hash=False)
    """What the server sent, with everything else, such as `labels`, `image` and `options`."""
