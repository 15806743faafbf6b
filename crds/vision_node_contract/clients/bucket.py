"""Asynchronous client for the bucket.

`bucket_requests` signs and sends the requests. Lists of objects are parsed in threads, so that
parsing does not block the event loop.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Self
from xml.etree.ElementTree import ParseError

import aiohttp
from minio.helpers import DictType

from . import outbound
from .bucket_errors import (
    NOT_IMPLEMENTED,
    FailureCounts,
    ObjectChangedError,
    ObjectNotFoundError,
    StoreUnavailableError,
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
from .bucket_requests import TIMEOUT, TRANSFER_SECONDS, BucketRequests, BucketResponse
from .bucket_settings import BucketSettings
from .bucket_uploads import ObjectTooLargeError, ObjectUpload
from .s3_credentials import CredentialsSource, Fetch, fixed_credentials, service_account_credentials
from .s3_signing import Signer

__all__ = [
    "TRANSFER_SECONDS",
    "Bucket",
    "BucketSettings",
    "ObjectChangedError",
    "ObjectNotFoundError",
    "ObjectTooLargeError",
    "ObjectUpload",
    "StoreUnavailableError",
]

MAX_TRANSFERS = 16
"""Maximum number of simultaneous transfers. On a small node, additional transfers would only
wait inside MinIO."""

LIST_PARSER_THREADS = 2
"""Number of threads that parse lists. Without threads, each list would block the event loop for
several milliseconds."""

CHUNK_BYTES = 1 << 20
"""Maximum number of bytes to receive at a time. Most images are smaller than this, so one
iteration of the event loop is often enough to receive a whole image."""

_FIRST_BYTE: Mapping[str, str] = MappingProxyType({"Range": "bytes=0-0"})
"""Headers of a GET request that is sent only to read the body of the error response."""


class Bucket:
    """Reads, writes, lists and deletes the objects in one bucket."""

    def __init__(self, settings: BucketSettings, session: aiohttp.ClientSession) -> None:
        url = f"{settings.scheme}://{settings.endpoint}"
        self._signer = Signer(url, settings.region, settings.bucket)
        self.folders = settings.folders
        """The release's folders in the bucket."""
        self._credentials = CredentialsSource(_credentials(settings))
        self._requests = BucketRequests(session, self._credentials)
        self._threads = ThreadPoolExecutor(LIST_PARSER_THREADS, thread_name_prefix="bucket")
        self._aborts: set[asyncio.Task[None]] = set()
        """Abandoned uploads whose parts are being deleted."""

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: BucketSettings) -> AsyncIterator[Self]:
        """Return a client whose connections are closed at the end of the `async with` block."""
        connector = aiohttp.TCPConnector(ssl=outbound.tls(), limit=MAX_TRANSFERS)

        async with aiohttp.ClientSession(
            connector=connector,
            proxy=outbound.proxy_for(settings.scheme, settings.endpoint),
            timeout=TIMEOUT,
            read_bufsize=CHUNK_BYTES,
            auto_decompress=False,
        ) as session:
            bucket = cls(settings, session)

            try:
                yield bucket
            finally:
                await asyncio.gather(*bucket._aborts)
                bucket._threads.shutdown(wait=False, cancel_futures=True)
                bucket._credentials.close()

    @property
    def failures(self) -> FailureCounts:
        """Number of failed requests since the process started, by reason and code."""
        return self._requests.failures.counts

    async def put(self, key: str, data: bytes, media_type: str, sha256: str | None = None) -> None:
        """Store `data` under `key`. The data is durable when this method returns.

        `sha256` is the hexadecimal digest of the data. The bucket verifies it. If `sha256` is None,
        this method computes the digest.

        Raises:
            StoreUnavailableError: the data may not have been stored.
        """
        digest = sha256 or hashlib.sha256(data).hexdigest()
        sign = partial(self._signer.sign, "PUT", key, digest)
        await self._requests.send("PUT", sign, data=data, headers={"Content-Type": media_type})

    def upload(self, key: str, media_type: str) -> ObjectUpload:
        """Return a context manager that stores a stream of unknown length under `key`.

        A stream that is shorter than a part is stored by one PUT request, all others by a multipart
        upload.
        """
        return ObjectUpload(self._requests, self._signer, key, media_type, self._aborts)

    async def put_if(
        self, key: str, data: bytes, media_type: str, sha256: str, etag: str | None
    ) -> None:
        """Store `data` under `key`, unless another writer has changed the object.

        The SHA-256 is stored with the object, and `stat` returns it. If the server does not support
        conditional writes, the write is unconditional.

        Args:
            key: The object's key.
            data: Its bytes.
            media_type: Its Content-Type.
            sha256: Hexadecimal digest of the bytes. The bucket verifies it.
            etag: ETag of the object to replace; None if the key must not exist yet.

        Raises:
            ObjectChangedError: another writer created, changed or deleted the object, so nothing
                was stored.
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
        await self._requests.send("PUT", sign, data=data, headers=headers)

    async def stat(self, key: str) -> StoredObject:
        """Return the object's metadata.

        Raises:
            ObjectNotFoundError: no object has this key.
            StoreUnavailableError: the bucket did not respond or refused the request.
        """
        with self._requests.failures.recording():
            response = await self._head(key)

            try:
                return read_headers(key, response.headers)
            except ValueError as error:
                raise silence(error) from error

    async def _head(self, key: str) -> BucketResponse:
        sign_head = partial(self._signer.sign, "HEAD", key)
        sign_get = partial(self._signer.sign, "GET", key)

        try:
            return await self._requests.exchange("HEAD", sign_head)
        except StoreUnavailableError as error:
            if not error.code:
                raise
            # A response to HEAD has no body, so a GET request is needed to learn the reason.
            await self._requests.exchange("GET", sign_get, headers=_FIRST_BYTE, max_bytes=1)

            # GET succeeded, so either the object was stored in the meantime, or HEAD requires more
            # permissions than GET.
            return await self._requests.exchange("HEAD", sign_head)

    async def get(self, key: str, max_bytes: int, etag: str | None = None) -> bytes:
        """Return up to `max_bytes` + 1 bytes from the start of the object.

        The extra byte lets callers detect an object that is larger than `max_bytes`. If `etag` is
        given, the object must have this ETag.

        Raises:
            ObjectNotFoundError: no object has this key.
            ObjectChangedError: the object has another ETag.
            StoreUnavailableError: the bucket did not respond or refused the request.
        """
        sign = partial(self._signer.sign, "GET", key)
        headers = {"If-Match": etag} if etag else {}
        response = await self._requests.send("GET", sign, headers=headers, max_bytes=max_bytes + 1)
        return response.body

    async def get_part(self, key: str, first: int, size: int, etag: str) -> bytes:
        """Return `size` bytes of the object from the byte `first` on, or fewer at its end.

        The object must have this ETag, so that all parts belong to the same version. If `etag` is
        empty, because the service has none, any version is read.

        Raises:
            ObjectNotFoundError: no object has this key.
            ObjectChangedError: the object has another ETag.
            StoreUnavailableError: the bucket did not respond or refused the request.
        """
        sign = partial(self._signer.sign, "GET", key)
        headers = {"Range": f"bytes={first}-{first + size - 1}"}
        headers |= {"If-Match": etag} if etag else {}
        response = await self._requests.send("GET", sign, headers=headers, max_bytes=size)

        # A proxy may drop the header Range, and the answer is then the start of the object.
        if not response.headers.get("Content-Range", "").startswith(f"bytes {first}-"):
            raise StoreUnavailableError(
                f"storage did not send the requested part of {key}: check that it, and a proxy in "
                "front of it, support the header Range"
            )

        return response.body

    async def delete(self, key: str) -> None:
        """Delete the object if it exists.

        Raises:
            StoreUnavailableError: the bucket did not respond or refused the request.
        """
        await self._requests.send("DELETE", partial(self._signer.sign, "DELETE", key))

    async def list_page(self, prefix: str, after: str, max_objects: int) -> ObjectPage:
        """Return up to `max_objects` objects whose keys begin with `prefix` and come after `after`.

        Args:
            prefix: Prefix of the keys.
            after: A key that begins with `prefix`; empty for the first page.
            max_objects: Maximum number of objects, up to MAX_KEYS. The bucket may return fewer even
                if more objects follow.

        Raises:
            StoreUnavailableError: the bucket did not respond or refused the request.
        """
        return await self._list({"prefix": prefix, "max-keys": str(max_objects)}, after)

    async def list_all(self, prefix: str) -> AsyncIterator[list[StoredObject]]:
        """Yield all objects whose keys begin with `prefix`, up to MAX_KEYS at a time.

        Raises:
            StoreUnavailableError: the bucket did not respond or refused the request.
        """
        after = ""
        while True:
            page = await self.list_page(prefix, after, MAX_KEYS)
            yield page.objects
            if page.is_last or not page.objects:
                return

            if page.objects[-1].key <= after:
                raise StoreUnavailableError("storage keeps listing the same objects")
            after = page.objects[-1].key

    async def list_folders(self, prefix: str) -> AsyncIterator[list[str]]:
        """Yield the names of the folders directly below `prefix`, up to MAX_KEYS at a time.

        `prefix` must end with a slash. The names contain no slash. The objects in the folders are
        not read.

        Raises:
            StoreUnavailableError: the bucket did not respond or refused the request.
        """
        after = ""
        while True:
            page = await self._list({"prefix": prefix, "delimiter": "/"}, after)
            yield [folder.removeprefix(prefix).removesuffix("/") for folder in page.folders]
            if page.is_last:
                return

            last = max([*page.folders, *(it.key for it in page.objects)], default="")
            # "0" is the character after the slash, so that no object in the last folder follows.
            following = f"{last[:-1]}0" if last.endswith("/") else last
            if following <= after:
                raise StoreUnavailableError("storage keeps listing the same folders")
            after = following

    async def _list(self, query: DictType, after: str) -> ObjectPage:
        base: DictType = {"list-type": "2", "encoding-type": "url", "max-keys": str(MAX_KEYS)}
        full = base | query | ({"start-after": after} if after else {})
        sign = partial(self._signer.sign_bucket, "GET", full)
        response = await self._requests.send("GET", sign, max_bytes=LIST_BYTES)

        return await self._parse_list(response.body)

    async def _parse_list(self, body: bytes) -> ObjectPage:
        """Parse a list in a thread, because parsing a thousand keys takes 12 ms."""
        with self._requests.failures.recording():
            loop = asyncio.get_running_loop()

            try:
                return await loop.run_in_executor(self._threads, read_list, body)
            except (ParseError, ValueError) as error:
                raise silence(error) from error

    async def check(self) -> None:
        """Check that the bucket exists and accepts our requests.

        Raises:
            StoreUnavailableError: the bucket does not exist, did not respond, or refused the
                request.
        """
        with self._requests.failures.recording():
            try:
                await self._requests.exchange("HEAD", partial(self._signer.sign_bucket, "HEAD"))
            except StoreUnavailableError as error:
                if not error.code:
                    raise
                # A response to HEAD has no body, so a GET request is needed to learn the reason.
                # It lists only the release's own folder, because a policy may allow only that.
                query: DictType = {
                    "list-type": "2",
                    "prefix": self.folders.images,
                    "max-keys": "1",
                }
                sign_get = partial(self._signer.sign_bucket, "GET", query)
                await self._requests.exchange("GET", sign_get)


def _credentials(settings: BucketSettings) -> Fetch:
    if settings.keyless:
        return service_account_credentials()
    return fixed_credentials(settings.access_key, settings.secret_key)
