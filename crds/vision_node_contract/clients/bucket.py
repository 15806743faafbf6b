"""The bucket, without blocking the event loop.

Requests are signed and sent over aiohttp; long lists are parsed in a few threads.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Protocol, Self
from xml.etree.ElementTree import ParseError

import aiohttp
from minio.helpers import DictType

from . import outbound
from .bucket_errors import (
    EXPIRED_KEYS,
    NOT_IMPLEMENTED,
    FailureLog,
    ObjectChangedError,
    ObjectNotFoundError,
    Refusal,
    StoreUnavailableError,
    refusal,
    silence,
)
from .bucket_objects import (
    LIST_BYTES,
    MAX_KEYS,
    SHA256_HEADER,
    ObjectPage,
    StoredObject,
    read_headers,
    read_list,
)
from .s3_credentials import Credentials, CredentialsSource, Fetch, fixed, of_the_service_account
from .s3_signing import Signed, Signer

__all__ = [
    "Bucket",
    "BucketSettings",
    "ObjectChangedError",
    "ObjectNotFoundError",
    "StoreUnavailableError",
]


class Sign(Protocol):
    """Signs a request. Each attempt is signed again, because a signature contains its time."""

    def __call__(self, *, keys: Credentials) -> Signed:
        """Return address and headers."""
        ...


TRANSFERS = 16
"""At once: more would only queue inside MinIO on a small node."""

THREADS = 2
"""For parsing lists."""

CONNECT_SECONDS = 3.0
READ_SECONDS = 15.0
"""Without an answer for so long, the bucket is unavailable to us."""

TRANSFER_SECONDS = 60.0
"""A whole transfer, however slowly it goes on."""

CONNECT_PAUSES = (0.1, 0.3)
"""Seconds before another try after a refused connection; one that nobody answered has waited
enough.

The one layer that retries storage, but for aiohttp: once, when a kept connection turns out closed;
a GET, or a PUT of the same bytes."""

_TIMEOUT = aiohttp.ClientTimeout(
    total=TRANSFER_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
)

CHUNK_BYTES = 1 << 20
"""Received at a time: images are seldom larger, and each pause costs a turn of the event loop."""

REFUSAL_BYTES = 1 << 16
"""Of an answer that is no object: it holds a few hundred, and whoever answers in the bucket's place
may send more."""

_ONE_KEY: DictType = {"list-type": "2", "max-keys": "1"}
"""Query of the smallest list (Amazon S3 API Reference, ListObjectsV2)."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_PLAIN: Mapping[str, str] = MappingProxyType({"Accept-Encoding": "identity"})
"""Header of every request: the client does not decompress, and MinIO compresses long lists by
default."""

_CONDITIONS = frozenset({"If-None-Match", "If-Match"})
"""Headers of a conditional write."""

_FIRST_BYTE: Mapping[str, str] = MappingProxyType({"Range": "bytes=0-0"})
"""Header of a GET that is sent only to read the body of a refusal."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """A successful answer from the bucket."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """Where the bucket is and who we are there."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    secure: bool
    region: str = "us-east-1"
    """Given, so that the client need not ask the server where its bucket lives."""
    keyless: bool = False
    """Whether the keys are those of the service account's role; both are empty then."""

    @classmethod
    def from_env(cls) -> Self:
        """Read S3_ENDPOINT (host:port), S3_BUCKET, S3_REGION and S3_SECURE.

        Also S3_ACCESS_KEY and S3_SECRET_KEY, unless S3_KEYLESS is true.

        Raises:
            KeyError: a variable is missing.
            ValueError: a key is empty.
        """
        keyless = os.environ.get("S3_KEYLESS") == "true"
        return cls(
            endpoint=os.environ["S3_ENDPOINT"],
            bucket=os.environ["S3_BUCKET"],
            access_key="" if keyless else _key("S3_ACCESS_KEY"),
            secret_key="" if keyless else _key("S3_SECRET_KEY"),
            secure=os.environ.get("S3_SECURE", "false") == "true",
            region=os.environ.get("S3_REGION") or "us-east-1",
            keyless=keyless,
        )

    @property
    def scheme(self) -> str:
        """The URL's scheme: https or http."""
        return "https" if self.secure else "http"

    def __repr__(self) -> str:
        # A settings object ends up in logs sooner or later.
        return f"BucketSettings({self.endpoint}/{self.bucket})"


class Bucket:
    """Objects of one bucket."""

    def __init__(self, settings: BucketSettings, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._signer = Signer(
            f"{settings.scheme}://{settings.endpoint}", settings.region, settings.bucket
        )
        self._failures = FailureLog()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._keys = CredentialsSource(_keys(settings))

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: BucketSettings) -> AsyncIterator[Self]:
        """Keep connections to the bucket for as long as the block runs."""
        connector = aiohttp.TCPConnector(ssl=outbound.tls(), limit=TRANSFERS)
        async with aiohttp.ClientSession(
            connector=connector,
            proxy=outbound.proxy_for(settings.scheme, settings.endpoint),
            timeout=_TIMEOUT,
            read_bufsize=CHUNK_BYTES,
            auto_decompress=False,
        ) as session:
            store = cls(settings, session)
            try:
                yield store
            finally:
                store._threads.shutdown(wait=False, cancel_futures=True)
                store._keys.close()

    async def put(self, key: str, data: bytes, media_type: str, sha256: str | None = None) -> None:
        """Store `data` under `key`; on return it is durable, and the bucket has checked its SHA-256 (hex).

        Raises:
            StoreUnavailableError: nothing may have been stored.
        """
        digest = sha256 or hashlib.sha256(data).hexdigest()
        headers = {"Content-Type": media_type}
        await self._send(
            "PUT", partial(self._signer.sign, "PUT", key, digest), data=data, headers=headers
        )

    async def put_if(
        self, key: str, data: bytes, media_type: str, sha256: str, etag: str | None
    ) -> None:
        """Store `data` under `key`, with its SHA-256 for `stat`, unless another writer was faster.

        On a server without conditional writes, the write is unconditional.

        Args:
            key: The object's key.
            data: Its bytes.
            media_type: Its Content-Type.
            sha256: Digest of the bytes in hexadecimal, which the bucket checks.
            etag: ETag of the object to replace; None if the key must not exist yet.

        Raises:
            ObjectChangedError: the object does not have this ETag; nothing was stored.
            StoreUnavailableError: the data may not have been stored.
        """
        condition = {"If-None-Match": "*"} if etag is None else {"If-Match": etag}
        try:
            await self._put_with(condition, key, data, media_type, sha256)
        except StoreUnavailableError as error:
            if error.code != NOT_IMPLEMENTED:
                raise
            await self._put_with({}, key, data, media_type, sha256)
        except ObjectNotFoundError as error:
            raise ObjectChangedError("the object was deleted") from error

    async def _put_with(
        self, condition: Mapping[str, str], key: str, data: bytes, media_type: str, sha256: str
    ) -> None:
        headers = {"Content-Type": media_type, **condition}
        metadata = {SHA256_HEADER: sha256}
        sign = partial(self._signer.sign, "PUT", key, sha256, metadata)
        await self._send("PUT", sign, data=data, headers=headers)

    async def stat(self, key: str) -> StoredObject:
        """Return the object's metadata.

        Raises:
            ObjectNotFoundError: no such key.
            StoreUnavailableError: no answer.
        """
        with self._failures.recording():
            answer = await self._head(key)
            try:
                return read_headers(key, answer.headers)
            except ValueError as error:
                raise silence(error) from error

    async def _head(self, key: str) -> _Answer:
        try:
            return await self._exchange("HEAD", partial(self._signer.sign, "HEAD", key))
        except StoreUnavailableError as error:
            if not error.code:
                raise
            # The answer to a HEAD has no body, so it does not say why; that to a GET does.
            await self._exchange(
                "GET", partial(self._signer.sign, "GET", key), headers=_FIRST_BYTE, most=1
            )
            # It was stored between the two, or there is more to a HEAD than to a GET.
            return await self._exchange("HEAD", partial(self._signer.sign, "HEAD", key))

    async def list_page(self, prefix: str, after: str, most: int) -> ObjectPage:
        """Return up to `most` objects whose keys begin with `prefix` and come after `after`.

        Args:
            prefix: Prefix of the keys.
            after: A key that begins with `prefix`; empty for the first page.
            most: Maximum objects, up to MAX_KEYS; the bucket may return fewer although more follow.

        Raises:
            StoreUnavailableError: no answer.
        """
        query: DictType = {
            "list-type": "2",
            "encoding-type": "url",
            "prefix": prefix,
            "max-keys": str(most),
        }
        if after:
            query["start-after"] = after

        sign = partial(self._signer.sign_bucket, "GET", query)
        answer = await self._send("GET", sign, most=LIST_BYTES)
        return await self._parse(answer.body)

    async def get(self, key: str, most: int) -> bytes:
        """Return the object's bytes; at most `most` + 1 of them are read, so the caller sees an excess.

        Raises:
            ObjectNotFoundError: no such key.
            StoreUnavailableError: no answer.
        """
        answer = await self._send("GET", partial(self._signer.sign, "GET", key), most=most + 1)
        return answer.body

    async def delete(self, key: str) -> None:
        """Remove the object, if it is there.

        Raises:
            StoreUnavailableError: no answer.
        """
        await self._send("DELETE", partial(self._signer.sign, "DELETE", key))

    async def list_older(self, prefix: str, than: datetime) -> list[str]:
        """Return the keys under `prefix` whose objects were last written before `than` (UTC).

        Raises:
            StoreUnavailableError: no answer.
        """
        found: list[str] = []
        after = ""
        while True:
            page = await self.list_page(prefix, after, MAX_KEYS)
            found += [it.key for it in page.objects if it.modified < than]
            if page.is_last or not page.objects:
                return found
            if page.objects[-1].key <= after:
                raise StoreUnavailableError("storage lists the same objects again and again")
            after = page.objects[-1].key

    async def check(self) -> None:
        """Return if the bucket is there and answers us.

        Raises:
            StoreUnavailableError: it does not.
        """
        with self._failures.recording():
            try:
                await self._exchange("HEAD", partial(self._signer.sign_bucket, "HEAD"))
            except StoreUnavailableError as error:
                if not error.code:
                    raise
                # The answer to a HEAD has no body, so it does not say why; that to a GET does.
                await self._exchange("GET", partial(self._signer.sign_bucket, "GET", _ONE_KEY))

    async def _send(
        self,
        method: str,
        sign: Sign,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        most: int = REFUSAL_BYTES,
    ) -> _Answer:
        """Return the answer, with at most `most` bytes of its body; log a failure."""
        with self._failures.recording():
            return await self._exchange(method, sign, data, headers, most)

    async def _exchange(
        self,
        method: str,
        sign: Sign,
        data: bytes | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        most: int = REFUSAL_BYTES,
    ) -> _Answer:
        """Return the answer; retry if the connection is refused."""
        pauses = iter(CONNECT_PAUSES)
        while True:
            try:
                return await self._exchange_once(method, sign, data, headers, most)
            except aiohttp.ClientConnectorError as error:
                pause = next(pauses, None)
                if pause is None:
                    raise silence(error) from error
                await asyncio.sleep(pause)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise silence(error) from error

    async def _exchange_once(
        self,
        method: str,
        sign: Sign,
        data: bytes | None,
        headers: Mapping[str, str],
        most: int,
    ) -> _Answer:
        keys = await self._keys.current()
        try:
            url, signed = sign(keys=keys)
        except ValueError as error:  # no object can have such a key
            raise ObjectNotFoundError(str(error)) from error

        told = {**_PLAIN, **headers, **signed}
        async with self._session.request(
            method, url, data=data, headers=told, allow_redirects=False
        ) as answer:
            body = await _read(answer, most if answer.status < 300 else REFUSAL_BYTES)

        if answer.status >= 300:
            raise self._refused(keys, answer.status, body, headers)

        return _Answer(answer.headers, body)

    def _refused(
        self, keys: Credentials, status: int, body: bytes, headers: Mapping[str, str]
    ) -> Refusal:
        error = refusal(status, body, conditional=not _CONDITIONS.isdisjoint(headers))
        if isinstance(error, StoreUnavailableError) and error.code in EXPIRED_KEYS:
            self._keys.reject(keys)
        return error

    async def _parse(self, body: bytes) -> ObjectPage:
        """Parse a list in a thread: a thousand keys take 12 ms."""
        with self._failures.recording():
            try:
                return await asyncio.get_running_loop().run_in_executor(
                    self._threads, read_list, body
                )
            except (ParseError, ValueError) as error:
                raise silence(error) from error


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body, or its first `most` bytes, whatever Content-Length says."""
    try:
        return await answer.content.readexactly(most)
    except asyncio.IncompleteReadError as error:
        return error.partial


def _key(variable: str) -> str:
    if not os.environ[variable]:
        raise ValueError(f"{variable} is empty: fill that key of storage's Secret")
    return os.environ[variable]


def _keys(settings: BucketSettings) -> Fetch:
    if settings.keyless:
        return of_the_service_account()
    return fixed(settings.access_key, settings.secret_key)
