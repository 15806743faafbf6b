"""Why an attempt failed, and how a Describer fares: the words of logs, Events, status and HTTP problems."""

from enum import StrEnum


class Cause(StrEnum):
    """Cause of a lost attempt, which does not count toward maxAttempts: a key of `status.lossesByCause`."""

    WORKER = "worker"
    STORAGE = "storage"
    PROVIDER = "provider"


class Reason(StrEnum):
    """Machine-readable reasons, CamelCase as Kubernetes' API conventions want. Part of the API."""

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

    @property
    def retryable(self) -> bool:
        """Whether another attempt may end differently with nothing changed by a person."""
        return self in _TRANSIENT

    @property
    def cause(self) -> Cause | None:
        """The cause, if neither the image nor its describer is to blame; otherwise None."""
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
"""Reasons that say that the bucket, and not the image, is what failed an attempt."""

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


class ReadyReason(StrEnum):
    """Reasons of a Describer's conditions. Part of the API."""

    SERVING = "Serving"
    IDLE = "Idle"
    """No worker runs because nothing is asked: Ready, for the next image launches one."""
    STARTING = "Starting"
    INSUFFICIENT_RESOURCES = "InsufficientResources"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    LAUNCH_FAILED = "LaunchFailed"

    DESCRIBER_NOT_FOUND = "DescriberNotFound"
    """The workers' image has no such provider."""
    CREDENTIALS_MISSING = "CredentialsMissing"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    MODEL_NOT_FOUND = "ModelNotFound"
    OPTIONS_INVALID = "OptionsInvalid"
    QUOTA_EXHAUSTED = "QuotaExhausted"
    RATE_LIMITED = "RateLimited"
    """Images wait because the provider asked for it: that passes by itself."""

    FALLBACK_AVAILABLE = "FallbackAvailable"
    """Of FallbackReady."""
    FALLBACK_UNAVAILABLE = "FallbackUnavailable"
    RETIREMENT_ANNOUNCED = "RetirementAnnounced"
    """Of Deprecated."""

    @classmethod
    def by_provider(cls, word: str) -> "ReadyReason | None":
        """Return the reason that is spelt so, if it is one of those of_provider."""
        return next((reason for reason in _OF_PROVIDER if reason == word), None)

    @property
    def troubled(self) -> bool:
        """Whether a person may have to do something."""
        launching = {
            ReadyReason.INSUFFICIENT_RESOURCES,
            ReadyReason.IMAGE_PULL_FAILED,
            ReadyReason.LAUNCH_FAILED,
        }
        return self in launching or self.of_provider

    @property
    def of_provider(self) -> bool:
        """Whether workers serve and every image fails all the same, until a person changes something."""
        return self in _OF_PROVIDER


_OF_PROVIDER = frozenset(
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
    """One image could not be described.

    Args:
        reason: The enum's word for it.
        message: What happened, to what, and what to do; a person reads it.
        retry_after: Seconds that a provider wants to be left alone; None if it doesn't say.
    """

    def __init__(self, reason: Reason, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
