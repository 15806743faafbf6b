"""Reasons for failed attempts and for conditions.

They appear in logs, in Events, in the status of objects and in HTTP problem documents.
"""

from enum import StrEnum


class Cause(StrEnum):
    """Cause of a lost attempt, as in `status.lossesByCause`.

    Lost attempts don't count toward maxAttempts.
    """

    WORKER = "worker"
    STORAGE = "storage"
    PROVIDER = "provider"


class Reason(StrEnum):
    """Machine-readable reasons, which are part of the API.

    They are in CamelCase, as Kubernetes' API conventions require.
    """

    IMAGE_NOT_FOUND = "ImageNotFound"
    IMAGE_UNREADABLE = "ImageUnreadable"
    IMAGE_TOO_LARGE = "ImageTooLarge"
    UNSUPPORTED_FORMAT = "UnsupportedFormat"
    DESCRIBER_NOT_FOUND = "DescriberNotFound"
    CREDENTIALS_MISSING = "CredentialsMissing"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    MODEL_NOT_FOUND = "ModelNotFound"
    OPTIONS_INVALID = "OptionsInvalid"
    REQUEST_REFUSED = "RequestRefused"
    QUOTA_EXHAUSTED = "QuotaExhausted"
    RATE_LIMITED = "RateLimited"
    CONTENT_REFUSED = "ContentRefused"
    EMPTY_ANSWER = "EmptyAnswer"
    PROVIDER_UNAVAILABLE = "ProviderUnavailable"
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    STORAGE_FULL = "StorageFull"
    STORAGE_DENIED = "StorageDenied"
    CLOCK_SKEW = "ClockSkew"
    BUCKET_NOT_FOUND = "BucketNotFound"
    DESCRIBER_FAILED = "DescriberFailed"
    ATTEMPT_TIMED_OUT = "AttemptTimedOut"
    OUT_OF_MEMORY = "OutOfMemory"
    WORKER_LOST = "WorkerLost"
    NO_WORKER = "NoWorker"
    ATTEMPTS_EXHAUSTED = "AttemptsExhausted"
    CANCELLED = "Cancelled"
    IMAGE_CHANGED = "ImageChanged"
    """The image was replaced after an ImageBatch listed it."""
    DUPLICATE_CUSTOM_ID = "DuplicateCustomId"
    MANIFEST_LINE_INVALID = "ManifestLineInvalid"
    MANIFEST_UNREADABLE = "ManifestUnreadable"
    """A part of an ImageBatch's frozen manifest is missing or damaged, which concerns only that
    batch."""

    @property
    def retryable(self) -> bool:
        """Whether another attempt may succeed with the same image and configuration."""
        return self in _TRANSIENT

    @property
    def is_describers_problem(self) -> bool:
        """Whether the Describer, its provider or the bucket has a problem that concerns all images.

        Such a problem fails no image of an ImageBatch. The batch waits instead.
        """
        is_of_provider = ReadyReason.by_provider(self) is not None
        return is_of_provider or self is Reason.RATE_LIMITED or self in STORAGE_REASONS

    @property
    def cause(self) -> Cause | None:
        """The cause if the attempt counts as lost; None if the image or describer is to blame."""
        return Cause.STORAGE if self in STORAGE_REASONS else _CAUSES.get(self)


STORAGE_REASONS = frozenset(
    {
        Reason.STORAGE_UNAVAILABLE,
        Reason.STORAGE_FULL,
        Reason.STORAGE_DENIED,
        Reason.CLOCK_SKEW,
        Reason.BUCKET_NOT_FOUND,
    }
)
"""Reasons for failures that were caused by the bucket rather than by the image."""

NEVER_OF_AN_IMAGE = frozenset(
    {
        Reason.CREDENTIALS_MISSING,
        Reason.DESCRIBER_NOT_FOUND,
        Reason.QUOTA_EXHAUSTED,
        Reason.STORAGE_FULL,
        Reason.CLOCK_SKEW,
        Reason.BUCKET_NOT_FOUND,
    }
)
"""Reasons that no image can cause. Others, such as CredentialsRefused, may be a service's answer to
one image, for example if a firewall refuses it."""

_CAUSES = {Reason.WORKER_LOST: Cause.WORKER, Reason.RATE_LIMITED: Cause.PROVIDER}

_TRANSIENT = STORAGE_REASONS | frozenset(
    {
        Reason.RATE_LIMITED,
        Reason.EMPTY_ANSWER,
        Reason.PROVIDER_UNAVAILABLE,
        Reason.DESCRIBER_FAILED,
        Reason.ATTEMPT_TIMED_OUT,
        Reason.OUT_OF_MEMORY,
        Reason.WORKER_LOST,
    }
)


class BatchReason(StrEnum):
    """Reasons for an ImageBatch's conditions and Events, which are part of the API.

    The condition Waiting may also have a reason of a Describer's condition Ready, or a Reason.
    """

    MANIFEST_FROZEN = "ManifestFrozen"
    MANIFEST_NOT_FOUND = "ManifestNotFound"
    MANIFEST_TOO_LARGE = "ManifestTooLarge"
    MANIFEST_CHANGED = "ManifestChanged"
    """The list of images was replaced repeatedly while it was being read."""
    NO_IMAGES = "NoImages"
    UPLOAD_UNREADABLE = "UploadUnreadable"
    """A list of uploaded images is missing or damaged."""
    UPLOAD_EXPIRED = "UploadExpired"
    """The upload was not complete in time, so the ImageBatch was deleted."""
    WORKER_TOO_OLD = "WorkerTooOld"
    """The workers' image comes from a release without ImageBatches."""
    SHARDS_REFUSED = "ShardsRefused"
    """The API server refuses to create shards, for example because of a quota."""
    NOT_WAITING = "NotWaiting"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    COMPLETED = "Completed"
    CANCELLED = "Cancelled"
    TOO_MANY_FAILED_IMAGES = "TooManyFailedImages"
    TOKENS_USED_UP = "TokensUsedUp"


class ReadyReason(StrEnum):
    """Reasons for a Describer's conditions, which are part of the API."""

    SERVING = "Serving"
    IDLE = "Idle"
    """No worker is running because no image is waiting. Ready is true, because the next image
    starts a worker."""
    STARTING = "Starting"
    INSUFFICIENT_RESOURCES = "InsufficientResources"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    LAUNCH_FAILED = "LaunchFailed"

    DESCRIBER_NOT_FOUND = "DescriberNotFound"
    """The workers' container image does not include the provider."""
    CREDENTIALS_MISSING = "CredentialsMissing"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    MODEL_NOT_FOUND = "ModelNotFound"
    OPTIONS_INVALID = "OptionsInvalid"
    QUOTA_EXHAUSTED = "QuotaExhausted"
    RATE_LIMITED = "RateLimited"
    """Images are waiting because of the provider's rate limit, which is a temporary problem."""

    FALLBACK_AVAILABLE = "FallbackAvailable"
    """Reason for the FallbackReady condition when it is true."""
    FALLBACK_UNAVAILABLE = "FallbackUnavailable"
    """Reason for the FallbackReady condition when it is false."""
    RETIREMENT_ANNOUNCED = "RetirementAnnounced"
    """Reason for the Deprecated condition."""

    @classmethod
    def by_provider(cls, word: str) -> "ReadyReason | None":
        """Return the reason named `word` if it is a provider problem; otherwise, return None."""
        return next((reason for reason in _PROVIDER_PROBLEMS if reason == word), None)

    @property
    def troubled(self) -> bool:
        """Whether the Describer has a problem that someone may have to fix."""
        launch_problems = {
            ReadyReason.INSUFFICIENT_RESOURCES,
            ReadyReason.IMAGE_PULL_FAILED,
            ReadyReason.LAUNCH_FAILED,
        }
        return self in launch_problems or self.is_provider_problem

    @property
    def is_provider_problem(self) -> bool:
        """Whether every image fails until someone fixes a problem, even if workers are running."""
        return self in _PROVIDER_PROBLEMS


_PROVIDER_PROBLEMS = frozenset(
    {
        ReadyReason.DESCRIBER_NOT_FOUND,
        ReadyReason.CREDENTIALS_MISSING,
        ReadyReason.CREDENTIALS_REFUSED,
        ReadyReason.MODEL_NOT_FOUND,
        ReadyReason.OPTIONS_INVALID,
        ReadyReason.QUOTA_EXHAUSTED,
    }
)


class DescribeError(Exception):
    """An image could not be described.

    Args:
        reason: Machine-readable reason.
        message: Human-readable explanation: what happened to which object, and what to do.
        retry_after: Seconds to wait before a retry, as requested by the provider; None if unknown.
    """

    def __init__(self, reason: Reason, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
