"""The options of submissions and batches, filters of jobs, and their names in requests."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypedDict

from .models import Json, Phase

Params = dict[str, str | list[str]]
"""A query string. A parameter with a list is repeated."""


class ImageOptions(TypedDict, total=False):
    """How to describe an image."""

    prompt: str | None
    """What to look for, or how to phrase the description."""
    language: str | None
    """BCP 47 tag of the description's language, such as `en` or `pt-BR`."""
    detail: Literal["low", "high", "auto"] | None
    """How closely to look."""
    max_length: int | None
    """Maximum length of the description in characters."""
    fallback: Literal["never"] | None
    """`never`: fail instead of using the fallback describer."""
    text: bool | None
    """Whether to read the text in the image; None: where text is likely."""


class DescribeOptions(ImageOptions, total=False):
    """The options that submissions and batches have in common."""

    describer: str | None
    """Name of a Describer, from `describers()`."""
    ttl_seconds: int | None
    """How long the finished job is kept, in seconds."""
    labels: Mapping[str, str] | None
    """Labels by which it is found again, such as `{"team": "web"}`."""
    callback_url: str | None
    """https URL to which the server sends a signed message about the end."""


class SubmitOptions(DescribeOptions, total=False):
    """The options of a submission. None stands for the server's default."""

    priority: int | None
    """Jobs with a higher priority are described first: from -10 to 10."""
    reuse: bool | None
    """Whether to take the result of an earlier job with the same image and options, if there is
    one."""


class BatchOptions(DescribeOptions, total=False):
    """The options of a batch. None stands for the server's default."""

    name: str | None
    """Name of the batch."""
    priority: int | None
    """Batches with a higher priority are described first."""
    parallelism: int | None
    """How many workers may describe the batch at the same time."""
    max_attempts: int | None
    """How often an image is tried."""
    timeout_seconds: int | None
    """How long an attempt may take, in seconds."""
    max_failed_images: int | None
    """The batch fails if more images than this fail."""
    max_tokens: int | None
    """The batch fails once the provider has charged this many tokens."""
    suspend: bool | None
    """Whether to create the batch suspended."""


class JobFilter(TypedDict, total=False):
    """Which jobs to list or to export. None allows all; several filters must all be met."""

    q: str | None
    """Words that the description, tags, text or file name must all have."""
    phase: Phase | Sequence[Phase] | None
    describer: str | None
    batch: str | None
    """Only images of this batch."""
    reason: str | None
    """Only jobs that failed for this reason, such as `ImageUnreadable`."""
    labels: Mapping[str, str] | None
    after: datetime | str | None
    """Only jobs that were created at this time or later. A text is a time of RFC 3339."""
    before: datetime | str | None
    """Only jobs that were created before this time."""
    owner: str | None
    """Value of the label vision-node.dev/owner."""


_WIRE_NAMES = {
    "max_length": "maxLength",
    "ttl_seconds": "ttlSeconds",
    "max_attempts": "maxAttempts",
    "timeout_seconds": "timeoutSeconds",
    "max_failed_images": "maxFailedImages",
    "max_tokens": "maxTokens",
    "callback_url": "callbackURL",
}
"""Names in requests that differ from those in Python."""


def query_of(options: SubmitOptions) -> dict[str, str]:
    """Return the options as a query string."""
    given = _given(options, SubmitOptions)
    return {_WIRE_NAMES.get(name, name): _text_of(value) for name, value in given}


def changes_of(options: SubmitOptions) -> Json:
    """Return the options of a retry as a JSON object. Those that are None stay as they were."""
    return {_WIRE_NAMES.get(name, name): value for name, value in _given(options, SubmitOptions)}


def document_of(options: BatchOptions) -> Json:
    """Return the options as a JSON object with the names of an ImageBatch's spec.

    Those about single images are in its member `options`.
    """
    document: Json = {}
    about_images: Json = {}
    for name, value in _given(options, BatchOptions):
        wire_name = _WIRE_NAMES.get(name, name)
        if name in ImageOptions.__annotations__:
            about_images[wire_name] = value
        elif name == "ttl_seconds":
            document["ttlSecondsAfterFinished"] = value
        else:
            document[wire_name] = value

    return document | ({"options": about_images} if about_images else {})


def filter_query_of(wanted: JobFilter) -> Params:
    """Return a filter as a query string.

    Raises:
        TypeError: There is no such filter.
        ValueError: A time has no time zone.
    """
    unknown = sorted(wanted.keys() - JobFilter.__annotations__.keys())
    if unknown:
        raise TypeError(f"there is no filter {', '.join(unknown)}")

    found: Params = {}
    for name, value in wanted.items():
        match value:
            case None:
                continue
            case datetime():
                found[name] = _time(value)
            case Mapping():
                found["label"] = [f"{key}={text}" for key, text in value.items()]
            case str():
                found[name] = value
            case Sequence():
                found[name] = [str(it) for it in value]

    return found


def _time(time: datetime) -> str:
    if time.tzinfo is None:
        raise ValueError(f"the time {time} has no time zone")

    return time.isoformat()


def _given(options: Mapping[str, object], known: type) -> list[tuple[str, object]]:
    """Return the options that are set.

    Raises:
        TypeError: An option is not among the `known` ones.
    """
    unknown = sorted(options.keys() - known.__annotations__.keys())
    if unknown:
        raise TypeError(f"there is no option {', '.join(unknown)}")

    return [(name, value) for name, value in options.items() if value is not None]


def _text_of(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={text}" for key, text in value.items())

    return str(value).lower() if isinstance(value, bool) else str(value)
