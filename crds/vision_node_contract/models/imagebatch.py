"""Typed models of an ImageBatch. Their source of truth is imagebatches.vision-node.dev.yaml."""

from datetime import datetime, timedelta

from pydantic import Field

from ..ranges import Range, RangeSet, parse_ranges
from .description import Options, Usage
from .imagejob import (
    MAX_TTL_SECONDS,
    TERMINAL,
    Condition,
    DefaultTtl,
    FailedImage,
    KubeModel,
    ObjectMeta,
    Phase,
)

MAX_COUNTED_CHARACTERS = 8192
"""Maximum length of the text with the ranges of counted images, as in the CRD."""

MAX_FAILURES = 10
"""Maximum number of failed images in a status, as in the CRD."""


MAX_FAILURES_BYTES = 8 << 10
"""Maximum length of the failed images in a status, as JSON in UTF-8. Ten of them with the longest
texts would have 40 kB, but a whole status must stay below 32 KiB, because it is written often."""


class UploadSpec(KubeModel):
    """An upload through the API.

    Once it is `complete`, its images are those that the first `lists` list objects of this
    `attempt` name, and all that were stored one by one (see batch_uploads.py).
    """

    complete: bool = False
    attempt: str | None = None
    lists: int | None = None


class ImageBatchSpec(KubeModel):
    """The images to describe, and how to describe them. Exactly one of the sources is set."""

    prefix: str | None = None
    manifest: str | None = None
    upload: UploadSpec | None = None
    describer: str = "local"
    options: Options | None = None
    priority: int = 0
    parallelism: int | None = None
    max_attempts: int | None = None
    timeout_seconds: int | None = None
    max_failed_images: int | None = None
    max_tokens: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool = False
    cancel: bool = False
    callback_url: str | None = Field(default=None, alias="callbackURL")

    def ttl(self, default: DefaultTtl) -> DefaultTtl | timedelta:
        """Return how long to keep the finished ImageBatch: `default`, unless the spec says so.

        A `default` of None means forever.
        """
        seconds = self.ttl_seconds_after_finished
        return default if seconds is None else timedelta(seconds=min(seconds, MAX_TTL_SECONDS))


class FrozenManifest(KubeModel):
    """The frozen list of a batch's images: its folder in the bucket, length and SHA-256."""

    folder: str
    images: int
    sha256: str
    skipped: int | None = None


class ImageCounts(KubeModel):
    """Numbers of images that have been counted."""

    total: int = 0
    done: int = 0
    failed: int = 0

    @property
    def ended(self) -> int:
        """Number of images that have a result or an error."""
        return self.done + self.failed


class BatchResults(KubeModel):
    """Where the results are: the number of index objects, and the results' length in bytes."""

    index: int = 0
    size_bytes: int | None = None


class ImageBatchStatus(KubeModel):
    """The state of an ImageBatch. Times are in UTC; `counted` and `suspects` are ranges as text."""

    phase: Phase = "queued"
    conditions: list[Condition] = Field(default_factory=list)
    manifest: FrozenManifest | None = None
    images: ImageCounts | None = None
    counted: str | None = None
    suspects: str | None = None
    results: BatchResults | None = None
    rate: str | None = None
    usage: Usage | None = None
    failures: list[FailedImage] = Field(default_factory=list)
    start_time: datetime | None = None
    completion_time: datetime | None = None
    duration: str | None = None

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of this type; None if there is none."""
        return next((it for it in self.conditions if it.type == kind), None)

    def true_condition(self, kind: str) -> Condition | None:
        """Return the condition of this type if its status is True; otherwise None."""
        found = self.condition(kind)
        return found if found and found.status == "True" else None


class ImageBatch(KubeModel):
    """Many images to describe."""

    metadata: ObjectMeta
    spec: ImageBatchSpec
    status: ImageBatchStatus = ImageBatchStatus()

    @property
    def finished(self) -> bool:
        """Whether the status is final."""
        return self.status.phase in TERMINAL

    @property
    def is_being_uploaded(self) -> bool:
        """Whether images may still be uploaded, so that they can't be listed yet."""
        return self.spec.upload is not None and not self.spec.upload.complete

    @property
    def total(self) -> int:
        """Number of images; 0 until the manifest is frozen."""
        return self.status.manifest.images if self.status.manifest else 0

    @property
    def counts(self) -> ImageCounts:
        """Numbers of images that have been counted."""
        return self.status.images or ImageCounts(total=self.total)

    @property
    def counted(self) -> RangeSet:
        """The indexes of the images that have been counted."""
        return RangeSet.parse(self.status.counted or "")

    @property
    def suspects(self) -> list[Range]:
        """The ranges of images that may have killed or blocked a worker. Each is tried alone."""
        return parse_ranges(self.status.suspects or "")

    @property
    def index(self) -> int:
        """Number of index objects that list the results."""
        return self.status.results.index if self.status.results else 0

    @property
    def stop_reason(self) -> str | None:
        """Why no more images are to be described: Cancelled, TooManyFailedImages or TokensUsedUp.

        None if the batch continues.
        """
        spec, usage = self.spec, self.status.usage
        tokens = usage.input_tokens + usage.output_tokens if usage else 0
        if spec.cancel:
            return "Cancelled"
        if spec.max_failed_images is not None and self.counts.failed > spec.max_failed_images:
            return "TooManyFailedImages"
        if spec.max_tokens is not None and tokens >= spec.max_tokens:
            return "TokensUsedUp"

        return None
