"""What the bucket's refusals and its silence mean: a reason for programs, advice for people."""

import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..models.reasons import Reason

LOG_SECONDS = 60.0
"""Least time between two warnings for the same reason: every image fails while the bucket does."""

_MISSING = frozenset(
    {"NoSuchKey", "NoSuchObject", "XMinioInvalidObjectName", "XMinioInvalidResourceName"}
)
"""No object has that key, or none can have it."""

_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
"""Refusals of a conditional write (Amazon S3 User Guide, "How to prevent object overwrites")."""

EXPIRED_KEYS = frozenset({"ExpiredToken", "InvalidToken", "InvalidTokenId"})
"""Codes with which Amazon S3 and MinIO refuse temporary keys that are valid no more."""

NOT_IMPLEMENTED = "NotImplemented"
"""Code for features that a server does not support, such as conditional writes."""

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
"""Codes of Amazon S3 (API Reference, Error Responses), MinIO, Ceph and others. An unlisted one is
taken for StorageUnavailable, which may pass by itself."""

_BY_STATUS = {
    401: Reason.STORAGE_DENIED,
    403: Reason.STORAGE_DENIED,
    507: Reason.STORAGE_FULL,
}
"""For answers with an unknown code or none, such as a proxy's page (RFC 9110; 507: RFC 4918)."""

_ADVICE = {
    Reason.STORAGE_FULL: "storage is full ({}): enlarge its volume or quota, or delete objects",
    Reason.STORAGE_DENIED: "storage refuses our keys ({}): check its Secret, and the keys' rights",
    Reason.CLOCK_SKEW: "storage's clock and ours are too far apart ({}): synchronize both by NTP",
    Reason.BUCKET_NOT_FOUND: "storage has no such bucket ({}): create it, or correct storage.bucket",
    Reason.STORAGE_UNAVAILABLE: "storage answered with an error ({}): see its log if this lasts",
}

_XML_CODE = re.compile(rb"<Code>(\w{1,64})</Code>")

log = logging.getLogger(__name__)


class ObjectNotFoundError(Exception):
    """No object has that key."""


class ObjectChangedError(Exception):
    """Another writer was faster: the object no longer meets the condition of a write."""


class StoreUnavailableError(Exception):
    """The bucket can't be reached or refuses us.

    Args:
        message: What happened and what to do, for people; without credentials.
        reason: One of STORAGE_REASONS.
        code: The bucket's own word or HTTP status; empty if it did not answer.
    """

    def __init__(
        self, message: str, reason: Reason = Reason.STORAGE_UNAVAILABLE, code: str = ""
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code


Refusal = ObjectNotFoundError | ObjectChangedError | StoreUnavailableError
"""Errors that an unsuccessful answer can mean."""


def silence(error: Exception) -> StoreUnavailableError:
    """Return what a request means that got no answer, or half of one."""
    # aiohttp's way to hand on what ssl says.
    if isinstance(getattr(error, "certificate_error", None), ssl.SSLCertVerificationError):
        return StoreUnavailableError(
            "the storage server's certificate is not trusted, or is for another host name: add the authority "
            "that issued it to the ConfigMap in caBundle.configMap, or correct storage.endpoint"
        )
    return StoreUnavailableError(f"storage does not answer well ({type(error).__name__})")


def refusal(status: int, body: bytes, *, conditional: bool) -> Refusal:
    """Return the error that an answer stands for, by its HTTP status and its body or a part of it.

    ObjectChangedError only if the request was conditional: no other asker would know what it means.
    """
    # The text around the code may quote the request, key and signature included: it goes nowhere.
    found = _XML_CODE.search(body)
    word = found[1].decode() if found else str(status)
    if word in _MISSING:
        return ObjectNotFoundError("no such object")
    if conditional and word in _CHANGED:
        return ObjectChangedError("another writer was faster")

    reason = _BY_CODE.get(word) or _BY_STATUS.get(status, Reason.STORAGE_UNAVAILABLE)
    return StoreUnavailableError(_ADVICE[reason].format(word), reason, word)


class FailureLog:
    """Logs failures of the bucket: the first of each reason, then one a minute with their number."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged_at: dict[Reason, float] = {}
        self._unlogged: dict[Reason, int] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Log the StoreUnavailableError that ends the block, and let it pass."""
        try:
            yield
        except StoreUnavailableError as error:
            self._record(error)
            raise

    def _record(self, error: StoreUnavailableError) -> None:
        reason, now = error.reason, self._clock()
        last = self._logged_at.get(reason)
        if last is not None and now - last < LOG_SECONDS:
            self._unlogged[reason] = self._unlogged.get(reason, 0) + 1
            return

        self._logged_at[reason] = now
        more = self._unlogged.pop(reason, 0)
        log.warning("%s: %s (%d more since the last such line)", reason, error, more)
