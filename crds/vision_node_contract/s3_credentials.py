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
"""How long before they expire keys are replaced, as in AWS's SDKs; the old ones are used until then."""

TIMEOUT = urllib3.Timeout(connect=3, read=10)  # seconds
_NO_RETRY = urllib3.Retry(total=0)
"""No retries: urllib3 logs the URL of a request that it retries, and the URL for AWS STS contains the token.
The next request for an object tries to fetch keys again."""

_NO_KEYS = (MinioException, HTTPError, OSError, ParseError, ValueError, KeyError)
"""Exceptions that MinIO's provider raises: no answer, a refusal, or an answer without keys."""

Fetch = Callable[[], Credentials]


class CredentialsSource:
    """Holds keys and replaces them before they expire.

    Args:
        fetch: Returns keys; it may block for some seconds.
        threads: Executor that `fetch` runs in.
    """

    def __init__(self, fetch: Fetch, threads: Executor) -> None:
        self._fetch = fetch
        self._threads = threads
        self._held: Credentials | None = None
        self._fetching = asyncio.Lock()

    async def current(self) -> Credentials:
        """Return keys that are valid now.

        Raises:
            StoreUnavailableError: no valid keys could be fetched.
        """
        held = self._held
        if held is not None and _left(held) > REFRESH_BEFORE:
            return held

        async with self._fetching:
            self._held = await self._refreshed()
            return self._held

    async def _refreshed(self) -> Credentials:
        held = self._held
        if held is not None and _left(held) > REFRESH_BEFORE:  # another task has fetched them
            return held

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._fetch)
        except _NO_KEYS as error:
            if held is not None and _left(held) > timedelta(0):
                return held
            raise _refusal(error) from None  # its text may hold the token


def fixed(access_key: str, secret_key: str) -> Fetch:
    """Return a function that always returns the same keys."""
    keys = Credentials(access_key, secret_key)
    return lambda: keys


def of_the_service_account() -> Fetch:
    """Return a function that fetches the keys of this pod's role from AWS.

    The environment selects the source: IAM roles for service accounts (AWS_WEB_IDENTITY_TOKEN_FILE,
    AWS_ROLE_ARN), EKS Pod Identity (AWS_CONTAINER_CREDENTIALS_FULL_URI), otherwise the metadata service
    (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html).
    AWS_ENDPOINT_URL_STS replaces the address of AWS STS.
    """
    by_token = "AWS_WEB_IDENTITY_TOKEN_FILE" in os.environ
    sts = os.environ.get("AWS_ENDPOINT_URL_STS") if by_token else None
    # The other two sources are at link-local addresses, which a proxy can't reach.
    host = "sts.amazonaws.com" if by_token and not sts else None
    http = pool("https", host, timeout=TIMEOUT, retries=_NO_RETRY)
    # A new provider each time, because a provider caches keys for longer than this module does.
    return lambda: IamAwsProvider(custom_endpoint=sts, http_client=http).retrieve()


def _left(keys: Credentials) -> timedelta:
    """Return how long the keys are still valid. MinIO's class has a naive datetime, which is in UTC."""
    if keys.expiration is None:
        return timedelta.max
    return keys.expiration.replace(tzinfo=UTC) - datetime.now(UTC)


def _refusal(error: Exception) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"could not get storage credentials for this pod's service account ({type(error).__name__}): check "
        "the service account's annotations, and that the role in them trusts the service account",
        Reason.STORAGE_DENIED,
        "NoCredentials",
    )
