"""The options of submissions and batches, and their names in requests."""

from collections.abc import Mapping
from typing import Literal, TypedDict

from .models import Json


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


_WIRE_NAMES = {
    "max_length": "maxLength",
    "ttl_seconds": "ttlSeconds",
    "max_attempts": "maxAttempts",
    "timeout_seconds": "timeoutSeconds",
    "max_failed_images": "maxFailedImages",
    "max_tokens": "maxTokens",
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
