"""Sign requests to the bucket, send them with aiohttp, and retry refused connections."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import aiohttp

from .bucket_body import PIECE_BYTES, BytesInPieces
from .bucket_errors import (
    EXPIRED_KEYS,
    FailureLog,
    InvalidKeyError,
    Refusal,
    StoreUnavailableError,
    parse_refusal,
    silence,
)
from .s3_credentials import Credentials, CredentialsSource
from .s3_signing import SignedRequest

CONNECT_SECONDS = 3.0
READ_SECONDS = 15.0
"""Maximum seconds to wait for the next bytes. A bucket that sends nothing for longer than this is
considered unavailable."""

TRANSFER_SECONDS = 60.0
"""Maximum seconds for a whole transfer, even if it is still making progress."""

CONNECT_PAUSES = (0.1, 0.3)
"""Seconds to wait before retrying a refused connection. A connection attempt that times out is not
retried, because the caller has already waited long enough.

No other layer retries storage requests, with one exception: aiohttp retries a request once if a
kept-alive connection turns out to be closed. Such a retry is harmless, because it repeats a GET,
a DELETE, or a PUT of the same bytes. aiohttp never repeats a POST, so this module repeats those
that do no harm: they delete objects, or create or complete a multipart upload."""

TIMEOUT = aiohttp.ClientTimeout(
    total=TRANSFER_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
)

MAX_ERROR_BYTES = 1 << 16
"""Maximum number of bytes to read from an error response. Error responses are usually a few
hundred bytes long, but a proxy that responds instead of the bucket may send more."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_IDENTITY_ENCODING: Mapping[str, str] = MappingProxyType({"Accept-Encoding": "identity"})
"""Header in every request that prevents compressed responses. By default, MinIO compresses long
lists, but this client does not decompress them."""

_CONDITIONAL_HEADERS = frozenset({"If-None-Match", "If-Match"})
"""Headers that make a write conditional."""


class Sign(Protocol):
    """Signs a request. Each attempt needs a new signature, because signatures contain the time."""

    def __call__(self, *, keys: Credentials) -> SignedRequest:
        """Return the URL and the headers of the signed request."""
        ...


@dataclass(frozen=True, slots=True)
class BucketResponse:
    """A successful response from the bucket."""

    headers: Mapping[str, str]
    body: bytes


class BucketRequests:
    """Sends requests to the bucket."""

    def __init__(self, session: aiohttp.ClientSession, credentials: CredentialsSource) -> None:
        self.failures = FailureLog()
        self._session = session
        self._credentials = credentials

    async def send(
        self,
        method: str,
        sign: Sign,
        *,
        data: bytes | memoryview | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        max_bytes: int = MAX_ERROR_BYTES,
    ) -> BucketResponse:
        """Send the request, and log any failure.

        Return the response with at most `max_bytes` bytes of its body.

        Raises:
            ObjectNotFoundError, ObjectChangedError, StoreUnavailableError: the request failed.
        """
        with self.failures.recording():
            return await self.exchange(
                method, sign, data=data, headers=headers, max_bytes=max_bytes
            )

    async def exchange(
        self,
        method: str,
        sign: Sign,
        *,
        data: bytes | memoryview | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        max_bytes: int = MAX_ERROR_BYTES,
        time_limits: aiohttp.ClientTimeout = TIMEOUT,
        may_repeat: bool = False,
    ) -> BucketResponse:
        """Send the request as `send` does, but leave the logging to the caller.

        With `may_repeat`, a POST is repeated once if its connection turns out to be closed.
        """
        pauses = iter(CONNECT_PAUSES)

        while True:
            try:
                return await self._exchange_once(
                    method, sign, data, headers, max_bytes, time_limits
                )
            except aiohttp.ClientConnectorError as error:
                pause = next(pauses, None)
                if pause is None:
                    raise silence(error) from error
                await asyncio.sleep(pause)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if not may_repeat:
                    raise silence(error) from error
                may_repeat = False
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise silence(error) from error

    async def _exchange_once(
        self,
        method: str,
        sign: Sign,
        data: bytes | memoryview | None,
        headers: Mapping[str, str],
        max_bytes: int,
        time_limits: aiohttp.ClientTimeout,
    ) -> BucketResponse:
        keys = await self._credentials.current()
        try:
            url, signed_headers = sign(keys=keys)
        except ValueError as error:
            raise InvalidKeyError(str(error)) from error

        all_headers = {**_IDENTITY_ENCODING, **headers, **signed_headers}
        body = BytesInPieces(data) if data and len(data) > PIECE_BYTES else data
        async with self._session.request(
            method, url, data=body, headers=all_headers, allow_redirects=False, timeout=time_limits
        ) as response:
            limit = max_bytes if response.status < 300 else MAX_ERROR_BYTES
            answer = await _read(response, limit)

        if response.status >= 300:
            raise self._refused(keys, response.status, answer, headers)

        return BucketResponse(response.headers, answer)

    def _refused(
        self, keys: Credentials, status: int, body: bytes, headers: Mapping[str, str]
    ) -> Refusal:
        conditional = not _CONDITIONAL_HEADERS.isdisjoint(headers)
        error = parse_refusal(status, body, conditional=conditional)
        if isinstance(error, StoreUnavailableError) and error.code in EXPIRED_KEYS:
            self._credentials.reject(keys)
        return error


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return the first `max_bytes` bytes of the body, regardless of its Content-Length."""
    try:
        return await response.content.readexactly(max_bytes)
    except asyncio.IncompleteReadError as error:
        return error.partial
