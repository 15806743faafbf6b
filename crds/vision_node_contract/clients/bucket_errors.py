"""Errors from the bucket client, with machine-readable reasons and advice for users."""

import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..models.reasons import STORAGE_REASONS, Reason

LOG_SECONDS = 60.0
"""Minimum number of seconds between two warnings with the same reason. Without a limit, a failing
bucket would cause a warning for every image."""

MAX_CODES = 50
"""Maximum number of different codes to count. The bucket chooses the codes, so their number would
otherwise be unlimited. A working bucket sends about twenty."""

OTHER_CODE = "other"
"""Code under which all errors with further codes are counted."""

MISSING = frozenset(
    {"NoSuchKey", "NoSuchObject", "XMinioInvalidObjectName", "XMinioInvalidResourceName"}
)
"""Error codes for object keys that don't exist or are invalid."""

_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
"""Error codes for conditional writes whose condition was not met (Amazon S3 User Guide, "How to
prevent object overwrites")."""

_PRECONDITION_FAILED = 412
"""HTTP status of a condition that was not met (RFC 9110). A proxy may have replaced the body."""

EXPIRED_KEYS = frozenset({"ExpiredToken", "InvalidToken", "InvalidTokenId"})
"""Error codes from Amazon S3 and MinIO for temporary keys that are no longer valid."""

NOT_IMPLEMENTED = "NotImplemented"
"""Error code for features that the server does not support, such as conditional writes."""

_BY_CODE = {
    "XMinioStorageFull": Reason.STORAGE_FULL,
    "XMinioAdminBucketQuotaExceeded": Reason.STORAGE_FULL,
    "InsufficientStorage": Reason.STORAGE_FULL,
    "InsufficientStorageSpace": Reason.STORAGE_FULL,
    "InsufficientCapacity": Reason.STORAGE_FULL,
    "QuotaExceeded": Reason.STORAGE_FULL,
    "StorageFull": Reason.STORAGE_FULL,
    "AccessDenied": Reason.STORAGE_DENIED,
    "AccessForbidden": Reason.STORAGE_DENIED,
    "AccountProblem": Reason.STORAGE_DENIED,
    "AllAccessDisabled": Reason.STORAGE_DENIED,
    "ExpiredToken": Reason.STORAGE_DENIED,
    "InvalidAccessKeyId": Reason.STORAGE_DENIED,
    "InvalidSecurity": Reason.STORAGE_DENIED,
    "InvalidToken": Reason.STORAGE_DENIED,
    "NotSignedUp": Reason.STORAGE_DENIED,
    "SignatureDoesNotMatch": Reason.STORAGE_DENIED,
    "RequestTimeTooSkewed": Reason.CLOCK_SKEW,
    "RequestExpired": Reason.CLOCK_SKEW,
    "RequestNotReadyYet": Reason.CLOCK_SKEW,
    "RequestInTheFuture": Reason.CLOCK_SKEW,
    "NoSuchBucket": Reason.BUCKET_NOT_FOUND,
}
"""Reasons by error code, for Amazon S3 (API Reference, Error Responses), MinIO, Ceph and others. If
the code is not listed here, the HTTP status determines the reason."""

_BY_STATUS = {
    401: Reason.STORAGE_DENIED,
    403: Reason.STORAGE_DENIED,
    507: Reason.STORAGE_FULL,
}
"""Reasons by HTTP status (RFC 9110; 507: RFC 4918), for responses without a known error code, such
as a proxy's error page. Any other status means StorageUnavailable, which may be temporary."""

_ADVICE = {
    Reason.STORAGE_FULL: "storage is full ({}): enlarge its volume or quota, or delete objects",
    Reason.STORAGE_DENIED: (
        "storage rejected our keys ({}): check the Secret that contains them, and their permissions"
    ),
    Reason.CLOCK_SKEW: "storage's clock and ours are too far apart ({}): synchronize both with NTP",
    Reason.BUCKET_NOT_FOUND: (
        "storage has no such bucket ({}): create it, or correct storage.bucket"
    ),
    Reason.STORAGE_UNAVAILABLE: (
        "storage answered with an error ({}): check its log if this persists"
    ),
}

_XML_CODE = re.compile(rb"<Code>(\w{1,64})</Code>")

log = logging.getLogger(__name__)


class ObjectNotFoundError(Exception):
    """No object has the requested key."""


class InvalidKeyError(ObjectNotFoundError):
    """The key can't be in a URL, for example because of a component `..`, so it was not sent.

    Another program may have stored an object with this key nonetheless.
    """


class ObjectChangedError(Exception):
    """Another writer changed the object first, so the conditional write failed."""


class StoreUnavailableError(Exception):
    """The bucket could not be reached, or it refused the request.

    Args:
        message: Human-readable explanation and advice. It contains no credentials.
        reason: One of STORAGE_REASONS.
        code: The bucket's error code or HTTP status; empty if the bucket did not respond.
    """

    def __init__(
        self, message: str, reason: Reason = Reason.STORAGE_UNAVAILABLE, code: str = ""
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code


Refusal = ObjectNotFoundError | ObjectChangedError | StoreUnavailableError
"""An error that `parse_refusal` returns for an unsuccessful response."""


def silence(error: Exception) -> StoreUnavailableError:
    """Return the error for a request that received no response or an unusable one."""
    # aiohttp keeps the original error from the ssl module in this attribute.
    if isinstance(getattr(error, "certificate_error", None), ssl.SSLCertVerificationError):
        return StoreUnavailableError(
            "the storage server's certificate is not trusted, or is for another host name: "
            "add the authority that issued it to the ConfigMap in caBundle.configMap, "
            "or correct storage.endpoint"
        )

    return StoreUnavailableError(f"storage sent no usable response ({type(error).__name__})")


def parse_refusal(status: int, body: bytes, *, conditional: bool) -> Refusal:
    """Return the error for a response with this HTTP status and body.

    The body may be incomplete. ObjectChangedError is returned only for conditional requests,
    because the callers that send other requests don't expect it.
    """
    # Don't include the text around the error code in the message: it may quote the request,
    # including its access key and signature.
    found = _XML_CODE.search(body)
    code = found[1].decode() if found else str(status)

    if code in MISSING:
        return ObjectNotFoundError("no such object")
    if conditional and (code in _CHANGED or (status == _PRECONDITION_FAILED and not found)):
        return ObjectChangedError("another writer changed the object first")

    reason = reason_for(code, status)
    return StoreUnavailableError(_ADVICE[reason].format(code), reason, code)


def reason_for(code: str, status: int = 200) -> Reason:
    """Return the reason of a refusal with this error code in a response with this HTTP status."""
    return _BY_CODE.get(code) or _BY_STATUS.get(status, Reason.STORAGE_UNAVAILABLE)


class FailureKey(NamedTuple):
    """Identifies a kind of failure in metrics."""

    reason: Reason
    code: str
    """The bucket's error code or HTTP status; empty if the bucket did not respond."""


class FailureCounts(dict[FailureKey, int]):
    """Counts the bucket's failures since the process started, by reason and code."""

    def __init__(self) -> None:
        # Rates can be computed from the first failure on if the counter was 0 before.
        super().__init__({FailureKey(reason, ""): 0 for reason in STORAGE_REASONS})

    def add(self, error: StoreUnavailableError) -> None:
        """Count a failure."""
        key = FailureKey(error.reason, error.code)
        if key not in self and len(self) >= MAX_CODES:
            key = FailureKey(error.reason, OTHER_CODE)

        self[key] = self.get(key, 0) + 1


class FailureLog:
    """Counts and logs the bucket's failures; logs at most one per minute for each reason.

    Each line contains the number of failures that were not logged since the previous line.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts = FailureCounts()
        self._clock = clock
        self._logged_at: dict[Reason, float] = {}
        self._unlogged: dict[Reason, int] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Count and log any StoreUnavailableError that the block raises, and re-raise it."""
        try:
            yield
        except StoreUnavailableError as error:
            self.record(error)
            raise

    def record(self, error: StoreUnavailableError) -> None:
        """Count a failure, and log it unless one with the same reason was just logged."""
        self.counts.add(error)
        reason, now = error.reason, self._clock()
        last = self._logged_at.get(reason)
        if last is not None and now - last < LOG_SECONDS:
            self._unlogged[reason] = self._unlogged.get(reason, 0) + 1
            return

        self._logged_at[reason] = now
        more = self._unlogged.pop(reason, 0)
        log.warning("%s: %s (%d more since the last such line)", reason, error, more)
