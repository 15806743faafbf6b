"""Credentials for the S3 service: fixed keys, or AWS's temporary ones for a service account's role."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import ParseError

import urllib3
from minio.credentials.credentials import Credentials
from minio.credentials.providers import IamAwsProvider
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from .outbound import pool
from .reasons import Reason
from .storage_errors import StoreUnavailableError

__all__ = ["Credentials", "CredentialsSource", "fixed", "of_the_service_account"]

REFRESH_BEFORE = timedelta(minutes=5)
"""Keys are replaced so long before they expire, as AWS's own SDKs do; the old ones serve until then."""

LAST_MOMENT = timedelta(seconds=30)
"""Keys that expire sooner may do so on the way to the bucket: others are waited for."""

PAUSE_SECONDS = 5.0
"""After keys could not be had. Requests of that time share what came of it: each attempt may take longer than
a request should wait, and the next ones would stand in line for attempts of their own."""

TIMEOUT = urllib3.Timeout(connect=3, read=10)  # seconds
_NO_RETRY = urllib3.Retry(total=0)
"""urllib3 logs the URL of what it repeats, and that of AWS STS carries the token. The keys are asked for
again with the next request for an object."""

_NO_KEYS = (
    *(MinioException, HTTPError, OSError),
    *(ParseError, ValueError, LookupError, TypeError, AttributeError, OverflowError),
)
"""What MinIO's provider raises: no answer or a refusal; or an answer that has no keys in it, of whose form it
takes everything for granted."""

log = logging.getLogger(__name__)

Fetch = Callable[[], Credentials]


class CredentialsSource:
    """Holds keys and replaces them before they expire.

    Args:
        fetch: Returns keys; it may block for some seconds.
        threads: Where it is run.
        clock: Monotonic time in seconds.
    """

    def __init__(self, fetch: Fetch, threads: Executor, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._threads = threads
        self._clock = clock
        self._held: Credentials | None = None
        self._failure = ""
        """The kind of error for which keys could not be had at the last attempt; empty: they could."""
        self._paused_until = 0.0
        self._fetched_at = -PAUSE_SECONDS
        self._fetching = asyncio.Lock()

    async def current(self) -> Credentials:
        """Return keys that are valid now.

        Raises:
            StoreUnavailableError: there are none.
        """
        held = self._held
        if held is not None and _left(held) > (LAST_MOMENT if self._fetching.locked() else REFRESH_BEFORE):
            return held

        async with self._fetching:
            if self._is_due():  # no other task has fetched them meanwhile
                await self._refresh()
            return self._best()

    def reject(self, keys: Credentials) -> None:
        """Take in that the bucket says that these keys have expired: its clock counts, not ours.

        Keys that were fetched just now stay: asking for others each time would help nobody.
        """
        if self._held is keys and self._clock() >= self._fetched_at + PAUSE_SECONDS:
            self._held = None

    def _is_due(self) -> bool:
        is_fresh = self._held is not None and _left(self._held) > REFRESH_BEFORE
        return not is_fresh and self._clock() >= self._paused_until

    async def _refresh(self) -> None:
        try:
            self._held = await asyncio.get_running_loop().run_in_executor(self._threads, self._fetch)
            self._fetched_at, self._failure = self._clock(), ""
        except _NO_KEYS as error:
            self._failure = type(error).__name__  # its text may hold the token
            self._paused_until = self._clock() + PAUSE_SECONDS
            log.warning("no new credentials for storage came (%s)", self._failure)

    def _best(self) -> Credentials:
        held = self._held
        if held is not None and (not self._failure or _left(held) > timedelta(0)):
            return held
        raise _refusal(self._failure)


def fixed(access_key: str, secret_key: str) -> Fetch:
    """Return what gives always the same keys."""
    keys = Credentials(access_key, secret_key)
    return lambda: keys


def of_the_service_account() -> Fetch:
    """Return what asks AWS for the keys of this pod's role.

    The environment says where: IAM roles for service accounts (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN),
    EKS Pod Identity (AWS_CONTAINER_CREDENTIALS_FULL_URI), else the node's metadata service
    (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html).
    AWS_ENDPOINT_URL_STS replaces the address of AWS STS.
    """
    by_token = "AWS_WEB_IDENTITY_TOKEN_FILE" in os.environ
    sts = os.environ.get("AWS_ENDPOINT_URL_STS") if by_token else None
    # The other two are at addresses of the node's own, which no proxy knows.
    host = "sts.amazonaws.com" if by_token and not sts else None
    http = pool("https", host, timeout=TIMEOUT, retries=_NO_RETRY)
    # A new one for each: it keeps keys for longer than we do.
    return lambda: IamAwsProvider(custom_endpoint=sts, http_client=http).retrieve()


def _left(keys: Credentials) -> timedelta:
    """Return for how long the keys are valid; MinIO's class has the time in UTC, without saying so."""
    if keys.expiration is None:
        return timedelta.max
    return keys.expiration.replace(tzinfo=UTC) - datetime.now(UTC)


def _refusal(kind: str) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"no credentials for storage came for this pod's service account ({kind}): check its "
        "annotations, and that the role which they name trusts it",
        Reason.STORAGE_DENIED,
        "NoCredentials",
    )
