"""Store a stream of unknown length as one object, by a multipart upload (Amazon S3 API Reference).

S3 needs the length of each request's body, so a stream is collected in parts of a fixed size.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Self
from xml.etree.ElementTree import ParseError, fromstring
from xml.sax.saxutils import escape

import aiohttp
from minio.helpers import DictType

from ..background_writes import BackgroundWrites
from .bucket_errors import (
    ObjectNotFoundError,
    StoreUnavailableError,
    parse_refusal,
    silence,
)
from .bucket_requests import CONNECT_SECONDS, TIMEOUT, BucketRequests, BucketResponse
from .s3_signing import NO_BODY_SHA256, Signer

PART_BYTES = 8 << 20
"""Size of each part in bytes, except the last one. Amazon S3 accepts at least 5 MiB."""

MAX_PARTS = 10_000
"""Maximum number of parts of an object (Amazon S3 User Guide, "Amazon S3 multipart upload
limits"): with PART_BYTES, 78 GiB."""

MAX_STORING = 2
"""Maximum number of parts that are being stored at the same time."""

UPLOAD_MEMORY_BYTES = MAX_STORING * PART_BYTES
"""Maximum number of bytes that an upload keeps in memory: the part that is being collected counts
as one of those that are being stored."""

COMPLETE_TIMEOUT = aiohttp.ClientTimeout(total=300.0, sock_connect=CONNECT_SECONDS, sock_read=60.0)
"""Seconds to wait for the service to join the parts. Amazon S3 may take several minutes, but sends
spaces meanwhile."""

ABORT_SECONDS = 5.0
"""Maximum seconds to wait until the service has deleted the parts of an abandoned upload."""

_MARK_HEADER = "x-amz-meta-upload"
"""Header with a random text, which the service stores with the object. It tells whether an object
is that of this upload, if the answer to its completion was lost."""

_NO_UPLOAD = "NoSuchUpload"
"""Error code for an upload that is unknown, or already complete."""

_NO_PART = memoryview(b"")

_XML_HEADERS: Mapping[str, str] = MappingProxyType({"Content-Type": "application/xml"})

_PART_LIST = (
    '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "{}</CompleteMultipartUpload>"
)
_PART = "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>"

log = logging.getLogger(__name__)


class ObjectTooLargeError(Exception):
    """The stream has more than MAX_PARTS * PART_BYTES bytes."""


class ObjectUpload:
    """Stores a stream of unknown length as one object. `Bucket.upload` makes instances.

    The object exists once `finish` returns. If the `async with` block ends before that, for example
    with an error, the parts are deleted, and an earlier object with this key remains. Parts are
    left behind only if the bucket is unavailable then, or the process is killed.

    All methods raise StoreUnavailableError if a part has not been stored.
    """

    def __init__(
        self,
        requests: BucketRequests,
        signer: Signer,
        key: str,
        media_type: str,
        aborts: set[asyncio.Task[None]],
    ) -> None:
        self.size = 0
        """Number of bytes so far."""
        self._requests = requests
        self._signer = signer
        self._key = key
        self._media_type = media_type
        self._aborts = aborts
        self._id: str | None = None
        """Id of the multipart upload; None while everything may fit into one PUT request."""
        self._mark = secrets.token_hex(16)
        self._is_finished = False

        self._part = _NO_PART
        """Room for the part that is being collected. A buffer that grows would take more memory."""
        self._filled = 0
        """Number of bytes of this part so far."""
        self._digest = hashlib.sha256()
        self._number = 1
        """Number of the part that is being collected."""
        self._etags: dict[int, str] = {}
        self._storing = BackgroundWrites()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._storing.cancel()

        if self._id is not None and not self._is_finished:
            # A task of its own ends even if this one is cancelled (again).
            task = asyncio.create_task(self._abort(self._id))
            self._aborts.add(task)
            task.add_done_callback(self._aborts.discard)
            await asyncio.shield(task)

    async def write(self, data: bytes | memoryview) -> None:
        """Add bytes to the end of the object. This waits while two parts are being stored.

        Raises:
            ObjectTooLargeError: The stream has too many bytes.
            StoreUnavailableError: A part may not have been stored.
        """
        rest = memoryview(data)
        while rest:
            if self._part is _NO_PART:
                await self._storing.wait_until(MAX_STORING - 1)
                self._part = memoryview(bytearray(PART_BYTES))

            piece = rest[: len(self._part) - self._filled]
            rest = rest[len(piece) :]
            # The digest is computed piece by piece, so that a whole part does not block the loop.
            self._digest.update(piece)
            self._part[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            self.size += len(piece)

            if self._filled == len(self._part):
                await self._end_part()

    async def finish(self) -> int:
        """Store what is left, and make the object from all parts. Return its size in bytes.

        Raises:
            ObjectTooLargeError: The stream has too many bytes.
            StoreUnavailableError: The object may not have been stored.
        """
        if self._id is None:
            digest, headers = self._digest.hexdigest(), {"Content-Type": self._media_type}
            sign = partial(self._signer.sign, "PUT", self._key, digest)
            await self._requests.send("PUT", sign, data=self._part[: self._filled], headers=headers)
        else:
            if self._filled:
                await self._end_part()
            await self._storing.wait_until(0)
            await self._complete(self._id)

        self._is_finished = True
        return self.size

    async def _end_part(self) -> None:
        """Begin to store the part that was collected."""
        if self._number > MAX_PARTS:
            raise ObjectTooLargeError(f"more than {MAX_PARTS * PART_BYTES} bytes")

        upload = self._id = self._id or await self._create()
        part, digest = self._part[: self._filled], self._digest.hexdigest()
        storing = self._store_part(upload, self._number, part, digest)
        self._storing.start(storing)

        self._part, self._filled, self._digest = _NO_PART, 0, hashlib.sha256()
        self._number += 1

    async def _create(self) -> str:
        headers = {"Content-Type": self._media_type}

        with self._requests.failures.recording():
            # If the first request has arrived, its upload stays, without parts, until the service
            # removes it (docs/store.md, "Abandoned uploads").
            response = await self._exchange(
                "POST",
                {"uploads": ""},
                headers=headers,
                metadata={_MARK_HEADER: self._mark},
                may_repeat=True,
            )

            try:
                return _read_upload_id(response.body)
            except (ParseError, ValueError) as error:
                raise silence(error) from error

    async def _store_part(self, upload: str, number: int, data: memoryview, digest: str) -> None:
        query: DictType = {"partNumber": str(number), "uploadId": upload}

        with self._requests.failures.recording():
            response = await self._exchange("PUT", query, data=data, digest=digest)

            etag = response.headers.get("ETag")
            if not etag:
                raise StoreUnavailableError("storage sent no ETag of a part, which it must")
            self._etags[number] = etag

    async def _complete(self, upload: str) -> None:
        parts = "".join(_PART.format(it, escape(etag)) for it, etag in sorted(self._etags.items()))
        data = _PART_LIST.format(parts).encode()

        with self._requests.failures.recording():
            try:
                response = await self._exchange(
                    "POST",
                    {"uploadId": upload},
                    data=data,
                    digest=hashlib.sha256(data).hexdigest(),
                    headers=_XML_HEADERS,
                    time_limits=COMPLETE_TIMEOUT,
                    may_repeat=True,
                )
            except StoreUnavailableError as error:
                if error.code == _NO_UPLOAD and await self._is_complete():
                    return  # the first request has arrived, and its answer was lost
                raise
            # A service that sends spaces while it joins the parts has already sent the status 200,
            # so an error is only in the body.
            if b"CompleteMultipartUploadResult" not in response.body:
                raise parse_refusal(200, response.body, conditional=False)

    async def _is_complete(self) -> bool:
        """Return whether the object has been made from the parts of this upload."""
        sign = partial(self._signer.sign, "HEAD", self._key)
        try:
            found = await self._requests.exchange("HEAD", sign)
        except (ObjectNotFoundError, StoreUnavailableError):
            return False

        return found.headers.get(_MARK_HEADER) == self._mark

    async def _abort(self, upload: str) -> None:
        try:
            async with asyncio.timeout(ABORT_SECONDS):
                with self._requests.failures.recording():
                    await self._exchange("DELETE", {"uploadId": upload})
        except (StoreUnavailableError, ObjectNotFoundError, TimeoutError) as error:
            log.warning("The parts of an abandoned upload to %s remain: %r", self._key, error)

    async def _exchange(
        self,
        method: str,
        query: DictType,
        *,
        data: bytes | memoryview | None = None,
        digest: str = NO_BODY_SHA256,
        headers: Mapping[str, str] = MappingProxyType({}),
        metadata: Mapping[str, str] = MappingProxyType({}),
        time_limits: aiohttp.ClientTimeout = TIMEOUT,
        may_repeat: bool = False,
    ) -> BucketResponse:
        sign = partial(self._signer.sign, method, self._key, digest, query=query, metadata=metadata)
        return await self._requests.exchange(
            method,
            sign,
            data=data,
            headers=headers,
            time_limits=time_limits,
            may_repeat=may_repeat,
        )


def _read_upload_id(body: bytes) -> str:
    """Return the id of a new multipart upload.

    Raises:
        ValueError, ParseError: The response has none.
    """
    root = fromstring(body.decode())  # noqa: S314 (expat limits entity expansion)
    upload = root.findtext("{*}UploadId")
    if not upload:
        raise ValueError("the response has no UploadId")

    return upload
