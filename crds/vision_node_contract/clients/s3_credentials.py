"""Credentials for the bucket: fixed keys, or temporary keys for the service account's role."""

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

__all__ = [
    "Credentials",
    "CredentialsSource",
    "fixed_credentials",
    "service_account_credentials",
]

REFRESH_BEFORE = timedelta(minutes=5)
"""Remaining validity at which keys are refreshed, as in AWS's SDKs. The old keys remain in use
until the new ones arrive."""

LAST_MOMENT = timedelta(seconds=30)
"""Minimum remaining validity of keys. If keys expire sooner, they may expire while a request is on
its way to the bucket, so requests wait for new keys."""

PAUSE_SECONDS = 5.0
"""Seconds to pause after failing to fetch keys. Requests during the pause fail with the same error,
because another attempt may take longer than a request should wait."""

TIMEOUT = urllib3.Timeout(connect=3, read=10)  # seconds
_NO_RETRY = urllib3.Retry(total=0)
"""Retries are disabled, because urllib3 logs the URL of a request that it retries, and the URL for
AWS STS contains the token. Instead, the next request for an object tries to fetch keys again."""

_NO_KEYS = (
    *(MinioException, HTTPError, OSError),
    *(ParseError, ValueError, LookupError, TypeError, AttributeError, OverflowError),
)
"""Exceptions that MinIO's provider raises for a missing response, a refusal, or a response without
keys. There are so many types because the provider does not validate responses."""

log = logging.getLogger(__name__)

Fetch = Callable[[], Credentials]


class CredentialsSource:
    """Holds keys and replaces them before they expire.

    Requests that wait for keys share one fetch, which continues even if one of them is cancelled.

    Args:
        fetch: Function that returns keys. It may block for several seconds.
        clock: Function that returns the monotonic time in seconds.
    """

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        # Keys are fetched in a separate thread, because parsing lists may occupy all other threads.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="credentials")
        self._held: Credentials | None = None
        self._fetching: asyncio.Task[Credentials] | None = None
        self._failure: StoreUnavailableError | None = None
        """Error of the last fetch; None if it succeeded."""
        self._paused_until = self._fetched_at = -math.inf

    async def current(self) -> Credentials:
        """Return keys that are valid now. Wait for new keys only if there are no valid ones.

        Raises:
            StoreUnavailableError: no valid keys could be fetched.
        """
        held = self._held
        left = _left(held) if held else timedelta(0)
        if left < REFRESH_BEFORE:
            self._start_fetch()

        if held and (left > LAST_MOMENT or (left > timedelta(0) and self._fetching is None)):
            return held
        if self._fetching is None:
            raise self._failure or _no_credentials("NoAnswer")

        return await self._wait_for(self._fetching)

    def reject(self, keys: Credentials) -> None:
        """Drop keys that the bucket reports as expired, even if our clock says otherwise.

        Keys that have just been fetched are kept, because fetching new keys for every request would
        not help.
        """
        if self._held is keys and self._clock() >= self._fetched_at + PAUSE_SECONDS:
            self._held = None

    def close(self) -> None:
        """Stop fetching keys."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _start_fetch(self) -> None:
        """Start fetching keys, unless a fetch is running or has just failed."""
        if self._fetching is None and self._clock() >= self._paused_until:
            self._fetching = asyncio.create_task(self._fetch_in_thread())
            self._fetching.add_done_callback(self._store_outcome)

    async def _fetch_in_thread(self) -> Credentials:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._fetch)

    def _store_outcome(self, done: asyncio.Task[Credentials]) -> None:
        self._fetching = None
        if done.cancelled():
            return

        if error := done.exception():
            self._paused_until = self._clock() + PAUSE_SECONDS
            # The error's text is left out, because it may contain the token.
            self._failure = _no_credentials(type(error).__name__)
            log.warning("%s", self._failure)
        else:
            self._held, self._failure = done.result(), None
            self._fetched_at = self._clock()

    async def _wait_for(self, fetching: asyncio.Task[Credentials]) -> Credentials:
        # The fetch is shielded, so that it continues for other requests if this one is cancelled.
        try:
            return await asyncio.shield(fetching)
        except _NO_KEYS as error:
            if self._held and _left(self._held) > timedelta(0):
                return self._held
            raise _no_credentials(type(error).__name__) from None


def fixed_credentials(access_key: str, secret_key: str) -> Fetch:
    """Return a function that always returns the same keys."""
    keys = Credentials(access_key, secret_key)
    return lambda: keys


def service_account_credentials() -> Fetch:
    """Return a function that fetches keys for this pod's role from AWS.

    The environment selects the source: IAM roles for service accounts (AWS_WEB_IDENTITY_TOKEN_FILE,
    AWS_ROLE_ARN), EKS Pod Identity (AWS_CONTAINER_CREDENTIALS_FULL_URI), or else the metadata
    service (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html).
    If AWS_ENDPOINT_URL_STS is set, it replaces the address of AWS STS.
    """
    by_token = "AWS_WEB_IDENTITY_TOKEN_FILE" in os.environ
    sts = (os.environ.get("AWS_ENDPOINT_URL_STS") or _regional_sts()) if by_token else None

    # The other two sources have link-local addresses, which a proxy can't reach.
    address = urlsplit(sts or "https://")
    http = pool(address.scheme, address.netloc or None, timeout=TIMEOUT, retries=_NO_RETRY)

    # Each fetch needs a new provider, because a reused one would return keys from its cache.
    return lambda: IamAwsProvider(custom_endpoint=sts, http_client=http).retrieve()


def _regional_sts() -> str:
    """Return the URL of AWS STS in the pod's region (AWS General Reference, AWS STS endpoints)."""
    region = os.environ.get("AWS_REGION", "")
    if not region:
        return "https://sts.amazonaws.com"
    return f"https://sts.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")


def _left(keys: Credentials) -> timedelta:
    """Return how long the keys remain valid.

    MinIO's class stores the expiration time as a naive datetime in UTC.
    """
    if keys.expiration is None:
        return timedelta.max
    return keys.expiration.replace(tzinfo=UTC) - datetime.now(UTC)


def _no_credentials(kind: str) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"could not get storage credentials for this pod's service account ({kind}): "
        "check the service account's annotations, "
        "and that the role in them trusts the service account",
        Reason.STORAGE_DENIED,
        "NoCredentials",
    )
