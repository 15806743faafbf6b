"""Typed models of an ImageJob. Their source of truth is imagejobs.vision-node.dev.yaml."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from ..names import GROUP, KIND, VERSION
from .description import Fallback, Options, Result, Usage
from .reasons import Cause

DefaultTtl = TypeVar("DefaultTtl", bound=timedelta | None)
"""A default time to live. None means forever."""

Phase = Literal["queued", "processing", "done", "failed"]
TERMINAL: frozenset[Phase] = frozenset({"done", "failed"})
"""Phases that are final."""

DEFAULT_TTL = timedelta(days=1)
"""How long a finished ImageJob is kept if neither its spec nor the chart says so. Each takes about
19 kB of the API server's memory, and a day is long enough to read a result."""

DEFAULT_MAX_IMAGEJOBS = 30_000
"""Maximum number of ImageJobs in a namespace, finished ones included, if the chart sets none. Their
580 MB of the API server's memory fit beside everything else on a control plane of 4 GiB."""

MAX_TTL_SECONDS = 2**31 - 1
"""Maximum of ttlSecondsAfterFinished, which is an int32 in the CRD: 68 years. A larger number would
overflow the calendar."""


class KubeModel(BaseModel):
    """A part of a Kubernetes object. Instances are frozen and ignore unknown fields.

    In JSON, field names are in camelCase.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object without unset fields, as the API server expects it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ImageRef(KubeModel):
    """The stored image. `key` is its object key, and `width` and `height` are in pixels."""

    key: str
    sha256: str | None = None
    media_type: str | None = None
    size_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    file_name: str | None = None


class ImageJobSpec(KubeModel):
    """The image to describe, and how to describe it."""

    image: ImageRef
    describer: str = "local"
    options: Options | None = None
    priority: int = 0
    max_attempts: int | None = None
    timeout_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    cancel: bool = False
    retry_of: str | None = None
    callback_url: str | None = Field(default=None, alias="callbackURL")

    def ttl(self, default: DefaultTtl) -> DefaultTtl | timedelta:
        """Return how long to keep the finished ImageJob: `default`, unless the spec says so.

        A `default` of None means forever.
        """
        seconds = self.ttl_seconds_after_finished
        return default if seconds is None else timedelta(seconds=min(seconds, MAX_TTL_SECONDS))


class Condition(KubeModel):
    """A condition of an object's status (metav1.Condition)."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: datetime
    observed_generation: int | None = None


class StoredResult(KubeModel):
    """The description or its location. Exactly one of `inline` and `key` (an object key) is set.

    `sha256` (hexadecimal) and `size_bytes` describe the stored object. Workers of older releases
    don't set them.
    """

    describer: str
    summary: str
    model: str | None = None
    key: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    inline: Result | None = None
    fallback: Fallback | None = None
    usage: Usage | None = None


class JobError(KubeModel):
    """The reason why the last attempt failed."""

    reason: str
    message: str
    retryable: bool
    retry_after_seconds: float | None = None


class LossesByCause(KubeModel):
    """Number of lost attempts by cause. Lost attempts don't count toward maxAttempts."""

    worker: int = 0
    storage: int = 0
    provider: int = 0

    def count(self, cause: Cause) -> int:
        """Return the number of attempts lost to `cause`."""
        counts = {
            Cause.WORKER: self.worker,
            Cause.STORAGE: self.storage,
            Cause.PROVIDER: self.provider,
        }
        return counts[cause]

    @property
    def total(self) -> int:
        """Number of lost attempts whose cause is recorded."""
        return self.worker + self.storage + self.provider


class FailedImage(KubeModel):
    """An image of a batch that failed. `index` is its place in the manifest, starting at 0."""

    index: int
    custom_id: str
    reason: str
    message: str


class Stop(KubeModel):
    """Why a worker stopped before the end of its shard."""

    reason: str
    message: str
    retry_after_seconds: float | None = None


class ShardOutcome(KubeModel):
    """The outcome of a shard of an ImageBatch (`status.images`).

    `rest` and `suspects` are ranges of indexes as text. `key`, `sha256` (hexadecimal) and
    `size_bytes` describe the stored results, which exist only if some images have ended.
    """

    done: int
    failed: int
    rest: str | None = None
    suspects: str | None = None
    key: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    usage: Usage | None = None
    failures: list[FailedImage] = Field(default_factory=list)
    stopped: Stop | None = None


class ImageJobStatus(KubeModel):
    """The state of an ImageJob. Times are in UTC."""

    phase: Phase = "queued"
    conditions: list[Condition] = Field(default_factory=list)
    attempts: int = 0
    losses: int = 0
    losses_by_cause: LossesByCause | None = None
    suspect: bool = False
    worker: str | None = None
    attempt_deadline: datetime | None = None
    next_attempt_time: datetime | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    duration: str | None = None
    result: StoredResult | None = None
    images: ShardOutcome | None = None
    error: JobError | None = None

    def losses_to(self, cause: Cause) -> int:
        """Return the number of attempts that count as lost to `cause`.

        Operators of older releases did not record the cause of a loss, so those losses count
        toward every cause.
        """
        known = self.losses_by_cause or LossesByCause()
        return max(0, self.losses - known.total) + known.count(cause)


class ObjectMeta(KubeModel):
    """The fields of metav1.ObjectMeta that vision-node uses."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = "0"
    generation: int = 1
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)


def seconds_of(duration: str | None) -> float | None:
    """Return the number of seconds in a duration such as `0.042s`, or None if it is invalid.

    The field is untrusted, so it may have any form.
    """
    try:
        return float((duration or "").removesuffix("s"))
    except ValueError:
        return None


class ImageJob(KubeModel):
    """One image to describe."""

    metadata: ObjectMeta
    spec: ImageJobSpec
    status: ImageJobStatus = ImageJobStatus()

    @property
    def finished(self) -> bool:
        """Whether the status is final."""
        return self.status.phase in TERMINAL

    def completed(self, now: datetime) -> datetime:
        """Return the completion time if it is plausible, or else the plausible time nearest to it.

        Workers write the completion time, so it is untrusted. No ImageJob ends before its creation
        or after `now`. A missing completion time counts as `now`.
        """
        completion = self.status.completion_time or now
        plausible = min(max(completion, self.metadata.creation_timestamp or completion), now)
        # Times from pydantic have a time zone object each, which makes comparing them slow.
        return plausible.astimezone(UTC)

    @staticmethod
    def manifest(
        name: str, spec: ImageJobSpec, labels: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the JSON of an ImageJob to create."""
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": {"name": name, "labels": labels or {}},
            "spec": spec.to_json(),
        }
