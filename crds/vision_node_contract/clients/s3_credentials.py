"""Credentials for the S3 service: fixed keys, or AWS's temporary ones for a service account's role."""

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import urllib3
from minio.credentials.credentials import Credentials
from minio.credentials.providers import IamAwsProvider
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from ..models.reasons import Reason
from .bucket_errors import StoreUnavailableError
from .outbound import pool

__all__ = ["Credentials", "CredentialsSource", "fixed", "of_the_service_account"]

REFRESH_BEFORE = timedelta(minutes=5)
"""How long before they expire keys are replaced, as in AWS's SDKs; the old ones are used until
then."""

LAST_MOMENT = timedelta(seconds=30)
"""Keys that expire sooner may do so on the way to the bucket: others are waited for."""

PAUSE_SECONDS = 5.0
"""After keys could not be had. Requests of that time share what came of it: each attempt may take
longer than a request should wait."""

TIMEOUT = urllib3.Timeout(connect=3, read=10)  # seconds
_NO_RETRY = urllib3.Retry(total=0)
"""No retries: urllib3 logs the URL of a request that it retries, and the URL for AWS STS contains
the token. The next request for an object tries to fetch keys again."""

_NO_KEYS = (
    *(MinioException, HTTPError, OSError),
    *(ParseError, ValueError, LookupError, TypeError, AttributeError, OverflowError),
)
"""Exceptions that MinIO's provider raises: no answer, a refusal, or an answer without keys, whose
form it does not check."""

log = logging.getLogger(__name__)

Fetch = Callable[[], Credentials]


class CredentialsSource:
    """Holds keys and replaces them before they expire.

    However many requests need keys, they are fetched once, for all of them; a request that is
    cancelled leaves the fetching to the others.

    Args:
        fetch: Returns keys; it may block for some seconds.
        clock: Monotonic time in seconds.
    """

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        # A thread of its own: lists of the bucket may take all others.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="credentials")
        self._held: Credentials | None = None
        self._fetching: asyncio.Task[Credentials] | None = None
        self._failure: StoreUnavailableError | None = None
        """What came of the last attempt, until one succeeds."""
        self._paused_until = self._fetched_at = -math.inf

    async def current(self) -> Credentials:
        """Return keys that are valid now, at once if there are any.

        Raises:
            StoreUnavailableError: no valid keys could be fetched.
        """
        held = self._held
        left = _left(held) if held else timedelta(0)
        if left < REFRESH_BEFORE:
            self._begin()

        if held and (left > LAST_MOMENT or (left > timedelta(0) and self._fetching is None)):
            return held
        if self._fetching is None:
            raise self._failure or _refusal("NoAnswer")

        return await self._fetched(self._fetching)

    def reject(self, keys: Credentials) -> None:
        """Take in that the bucket says that these keys have expired: its clock counts, not ours.

        Keys that were fetched just now stay: asking for others each time would not help.
        """
        if self._held is keys and self._clock() >= self._fetched_at + PAUSE_SECONDS:
            self._held = None

    def close(self) -> None:
        """Fetch no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        """Fetch keys, unless that is being done or has failed a moment ago."""
        if self._fetching is None and self._clock() >= self._paused_until:
            self._fetching = asyncio.create_task(self._fetch_in_thread())
            self._fetching.add_done_callback(self._take)

    async def _fetch_in_thread(self) -> Credentials:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._fetch)

    def _take(self, done: asyncio.Task[Credentials]) -> None:
        self._fetching = None
        if done.cancelled():
            return

        if error := done.exception():
            self._paused_until = self._clock() + PAUSE_SECONDS
            self._failure = _refusal(type(error).__name__)  # its text may hold the token
            log.warning("%s", self._failure)
        else:
            self._held, self._failure = done.result(), None
            self._fetched_at = self._clock()

    async def _fetched(self, fetching: asyncio.Task[Credentials]) -> Credentials:
        # Shielded: a request that is cancelled leaves the keys to the others.
        try:
            return await asyncio.shield(fetching)
        except _NO_KEYS as error:
            if self._held and _left(self._held) > timedelta(0):
                return self._held
            raise _refusal(type(error).__name__) from None


def fixed(access_key: str, secret_key: str) -> Fetch:
    """Return a function that always returns the same keys."""
    keys = Credentials(access_key, secret_key)
    return lambda: keys


def of_the_service_account() -> Fetch:
    """Return a function that fetches the keys of this pod's role from AWS.

    The environment selects the source: IAM roles for service accounts (AWS_WEB_IDENTITY_TOKEN_FILE,
    AWS_ROLE_ARN), EKS Pod Identity (AWS_CONTAINER_CREDENTIALS_FULL_URI), otherwise the metadata
    service (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html).
    AWS_ENDPOINT_URL_STS replaces the address of AWS STS.
    """
    by_token = "AWS_WEB_IDENTITY_TOKEN_FILE" in os.environ
    sts = (os.environ.get("AWS_ENDPOINT_URL_STS") or _regional_sts()) if by_token else None
    # The other two sources are at link-local addresses, which a proxy can't reach.
    address = urlsplit(sts or "https://")
    http = pool(address.scheme, address.netloc or None, timeout=TIMEOUT, retries=_NO_RETRY)
    # A new provider each time, because a provider caches keys for longer than this module does.
    return lambda: IamAwsProvider(custom_endpoint=sts, http_client=http).retrieve()


def _regional_sts() -> str:
    """Return the address of AWS STS in the pod's region (AWS General Reference, AWS STS endpoints)."""
    region = os.environ.get("AWS_REGION", "")
    if not region:
        return "https://sts.amazonaws.com"
    return f"https://sts.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")


def _left(keys: Credentials) -> timedelta:
    """Return how long the keys are still valid. MinIO's class has a naive datetime, which is in UTC."""
    if keys.expiration is None:
        return timedelta.max
    return keys.expiration.replace(tzinfo=UTC) - datetime.now(UTC)


def _refusal(kind: str) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"could not get storage credentials for this pod's service account ({kind}): check the service "
        "account's annotations, and that the role in them trusts the service account",
        Reason.STORAGE_DENIED,
        "NoCredentials",
    )
