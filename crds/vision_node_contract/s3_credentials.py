"""Credentials for the S3 service: fixed keys, or AWS's temporary ones for a service account's role."""

import asyncio
import os
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

TIMEOUT = urllib3.Timeout(connect=3, read=10)  # seconds
_NO_RETRY = urllib3.Retry(total=0)
"""urllib3 logs the URL of what it repeats, and that of AWS STS carries the token. The keys are asked for
again with the next request for an object."""

_NO_KEYS = (MinioException, HTTPError, OSError, ParseError, ValueError, KeyError)
"""What MinIO's provider raises: no answer, a refusal, or an answer that has no keys in it."""

Fetch = Callable[[], Credentials]


class CredentialsSource:
    """Holds keys and replaces them before they expire.

    Args:
        fetch: Returns keys; it may block for some seconds.
        threads: Where it is run.
    """

    def __init__(self, fetch: Fetch, threads: Executor) -> None:
        self._fetch = fetch
        self._threads = threads
        self._held: Credentials | None = None
        self._fetching = asyncio.Lock()

    async def current(self) -> Credentials:
        """Return keys that are valid now.

        Raises:
            StoreUnavailableError: there are none.
        """
        held = self._held
        if held is not None and _left(held) > REFRESH_BEFORE:
            return held

        async with self._fetching:
            self._held = await self._refreshed()
            return self._held

    async def _refreshed(self) -> Credentials:
        held = self._held
        if held is not None and _left(held) > REFRESH_BEFORE:  # another task has fetched them meanwhile
            return held

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._fetch)
        except _NO_KEYS as error:
            if held is not None and _left(held) > timedelta(0):
                return held
            raise _refusal(error) from None  # its text may hold the token


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


def _refusal(error: Exception) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"no credentials for storage came for this pod's service account ({type(error).__name__}): check its "
        "annotations, and that the role which they name trusts it",
        Reason.STORAGE_DENIED,
        "NoCredentials",
    )
