"""The bucket, without blocking the event loop.

Objects travel over aiohttp, signed; what is asked seldom is asked by MinIO's client in a few threads.
"""

import asyncio
import hashlib
import os
import re
import ssl
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Self, TypeVar

import aiohttp
import certifi
import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

from .signing import NO_BODY_SHA256, Signer

T = TypeVar("T")

TRANSFERS = 16
"""At once: more would only queue inside MinIO on a small node."""

THREADS = 2
"""For housekeeping: lists, deletions, checks."""

CONNECT_SECONDS = 3.0
READ_SECONDS = 15.0
"""Without an answer for so long, the bucket is unavailable to us."""

TRANSFER_SECONDS = 60.0
"""A whole transfer, however slowly it goes on."""

CONNECT_PAUSES = (0.1, 0.3)
"""Seconds before another try after a refused connection; one that nobody answered has waited enough.

The one layer that retries storage, but for aiohttp: once, when a kept connection turns out closed; a GET, or
a PUT of the same bytes.
"""

_TIMEOUT = aiohttp.ClientTimeout(total=TRANSFER_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
_RETRIES = urllib3.Retry(
    total=2, connect=2, read=0, redirect=0, status=0, backoff_factor=0.1, backoff_jitter=0.1
)

CHUNK_BYTES = 1 << 20
"""Received at a time: images are seldom larger, and each pause costs a turn of the event loop."""

REFUSAL_BYTES = 1 << 16
"""Of an answer that is no object: it holds a few hundred, and whoever answers in the bucket's place may
send more."""

_MISSING = frozenset({"NoSuchKey", "NoSuchObject"})
_CODE = re.compile(rb"<Code>(\w+)</Code>")


class ObjectNotFoundError(Exception):
    """No object has that key."""


class StoreUnavailableError(Exception):
    """The bucket can't be reached or refuses us; the message has no credentials."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the bucket is and who we are there."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    secure: bool
    region: str = "us-east-1"
    """Given, so that the client need not ask the server where its bucket lives."""

    @classmethod
    def from_env(cls) -> Self:
        """Read S3_ENDPOINT (host:port), S3_BUCKET, S3_REGION, S3_ACCESS_KEY, S3_SECRET_KEY, S3_SECURE."""
        return cls(
            endpoint=os.environ["S3_ENDPOINT"],
            bucket=os.environ["S3_BUCKET"],
            access_key=os.environ["S3_ACCESS_KEY"],
            secret_key=os.environ["S3_SECRET_KEY"],
            secure=os.environ.get("S3_SECURE", "false") == "true",
            region=os.environ.get("S3_REGION") or "us-east-1",
        )

    def __repr__(self) -> str:
        # A settings object ends up in logs sooner or later.
        return f"StoreSettings({self.endpoint}/{self.bucket})"


class Store:
    """Objects of one bucket."""

    def __init__(self, settings: StoreSettings, session: aiohttp.ClientSession) -> None:
        scheme = "https" if settings.secure else "http"
        self._session = session
        self._signer = Signer(
            f"{scheme}://{settings.endpoint}",
            settings.region,
            settings.bucket,
            settings.access_key,
            settings.secret_key,
        )
        self._bucket = settings.bucket
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._minio = _client(settings)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: StoreSettings) -> AsyncIterator[Self]:
        """Keep connections to the bucket for as long as the block runs."""
        tls = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())
        connector = aiohttp.TCPConnector(ssl=tls, limit=TRANSFERS)
        async with aiohttp.ClientSession(
            connector=connector, timeout=_TIMEOUT, read_bufsize=CHUNK_BYTES, auto_decompress=False
        ) as session:
            store = cls(settings, session)
            try:
                yield store
            finally:
                store._threads.shutdown(wait=False, cancel_futures=True)

    async def put(self, key: str, data: bytes, media_type: str, sha256: str | None = None) -> None:
        """Store `data` under `key`; on return it is durable, and the bucket has checked its SHA-256 (hex).

        Raises:
            StoreUnavailableError: nothing may have been stored.
        """
        digest = sha256 or hashlib.sha256(data).hexdigest()
        await self._send("PUT", key, digest, data, {"Content-Type": media_type})

    async def get(self, key: str, most: int) -> bytes:
        """Return the object's bytes; at most `most` + 1 of them are read, so the caller sees an excess.

        Raises:
            ObjectNotFoundError: no such key.
            StoreUnavailableError: no answer.
        """
        return await self._send("GET", key, NO_BODY_SHA256, None, {}, most + 1)

    async def delete(self, key: str) -> None:
        """Remove the object, if it is there.

        Raises:
            StoreUnavailableError: no answer.
        """
        await self._run(lambda: self._minio.remove_object(bucket_name=self._bucket, object_name=key))

    async def list_older(self, prefix: str, than: datetime) -> list[str]:
        """Return the keys under `prefix` whose objects were last written before `than` (UTC).

        Raises:
            StoreUnavailableError: no answer.
        """
        return await self._run(lambda: self._list_older(prefix, than))

    async def check(self) -> None:
        """Return if the bucket answers.

        Raises:
            StoreUnavailableError: it does not, or it does not exist.
        """
        if not await self._run(lambda: self._minio.bucket_exists(bucket_name=self._bucket)):
            raise StoreUnavailableError(f"bucket {self._bucket} does not exist")

    def _list_older(self, prefix: str, than: datetime) -> list[str]:
        found = self._minio.list_objects(bucket_name=self._bucket, prefix=prefix, recursive=True)
        return [o.object_name for o in found if o.object_name and o.last_modified and o.last_modified < than]

    async def _send(
        self,
        method: str,
        key: str,
        sha256: str,
        data: bytes | None,
        headers: dict[str, str],
        most: int = REFUSAL_BYTES,
    ) -> bytes:
        pauses = iter(CONNECT_PAUSES)
        while True:
            try:
                url, signed = self._signer.sign(method, key, sha256)
                async with self._session.request(
                    method, url, data=data, headers=headers | signed, allow_redirects=False
                ) as answer:
                    body = await _read(answer, most if answer.status < 300 else REFUSAL_BYTES)
            except aiohttp.ClientConnectorError as error:
                pause = next(pauses, None)
                if pause is None:
                    raise StoreUnavailableError(_SILENT.format(type(error).__name__)) from error
                await asyncio.sleep(pause)
                continue
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise StoreUnavailableError(_SILENT.format(type(error).__name__)) from error
            except ValueError as error:  # no object can have such a key
                raise ObjectNotFoundError(str(error)) from error
            if answer.status < 300:
                return body
            raise _error_of(answer.status, body)

    async def _run(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except S3Error as error:
            if error.code in _MISSING:
                raise ObjectNotFoundError(error.message) from error
            raise StoreUnavailableError(f"{error.code}: {error.message}") from error
        except (MinioException, HTTPError, OSError) as error:
            raise StoreUnavailableError(_SILENT.format(type(error).__name__)) from error
        except ValueError as error:  # the client refuses such a key, so nothing can be stored under it
            raise ObjectNotFoundError(str(error)) from error


_SILENT = "storage did not answer well: {}"


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body, or its first `most` bytes, whatever Content-Length says."""
    try:
        return await answer.content.readexactly(most)
    except asyncio.IncompleteReadError as error:
        return error.partial


def _error_of(status: int, body: bytes) -> Exception:
    """Return the error that an answer stands for (Amazon S3 API, Error Responses)."""
    found = _CODE.search(body)
    code = found[1].decode() if found else str(status)
    if code in _MISSING:
        return ObjectNotFoundError("no such object")
    return StoreUnavailableError(f"storage refused: {code}")


def _client(settings: StoreSettings) -> Minio:
    return Minio(
        endpoint=settings.endpoint,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        secure=settings.secure,
        region=settings.region,
        http_client=urllib3.PoolManager(
            maxsize=THREADS,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=_RETRIES,
        ),
    )
