"""The multipart uploads of the fake S3 server."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple
from xml.etree.ElementTree import fromstring

from aiohttp import web

MIN_PART_BYTES = 5 << 20
"""Minimum size of a part in bytes, except the last one, as on Amazon S3."""

ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>no</Message></Error>'
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
CREATED = (
    f'<?xml version="1.0"?><InitiateMultipartUploadResult {NAMESPACE}>'
    "<UploadId>{}</UploadId></InitiateMultipartUploadResult>"
)
COMPLETED = (
    f'<?xml version="1.0"?>  <CompleteMultipartUploadResult {NAMESPACE}>'
    "<ETag>e</ETag></CompleteMultipartUploadResult>"
)


@dataclass
class Upload:
    """A multipart upload."""

    key: str
    media_type: str
    mark: str
    """The header x-amz-meta-upload."""
    parts: dict[int, bytes] = field(default_factory=dict)


class Joined(NamedTuple):
    """The object that the parts of an upload became."""

    data: bytes
    media_type: str
    mark: str


async def do_nothing(*_: int) -> None:
    """Do nothing."""


class MultipartUploads:
    """Receives parts, joins them, and checks what Amazon S3 checks."""

    def __init__(self) -> None:
        self.uploads: dict[str, Upload] = {}
        self.created = 0
        """Number of uploads that were ever created."""
        self.min_part_bytes = MIN_PART_BYTES
        self.before_part: Callable[[int], Awaitable[None]] = do_nothing
        """Function to call with the number of a part whose bytes have arrived."""
        self.before_abort: Callable[[], Awaitable[None]] = do_nothing
        """Function to call before an upload is aborted."""
        self.completion_error = ""
        """Error code that the response to CompleteMultipartUpload has in spite of its status."""
        self.fails_part: int | None = None
        """Number of the part that is refused with 500."""
        self.loses: set[str] = set()
        """Requests, of `create` and `complete`, whose next answer is lost."""
        self.storing = 0
        """Number of parts that are being received."""
        self.most_storing = 0
        """Maximum number of parts that were received at the same time."""

    async def answer(self, request: web.Request, key: str) -> tuple[web.Response, Joined | None]:
        """Answer a request; return the object, too, if the upload is now complete."""
        if "uploads" in request.query:
            return self._create(request, key), None

        upload = self.uploads.get(request.query["uploadId"])
        if upload is None or upload.key != key:
            return _error(404, "NoSuchUpload"), None

        match request.method:
            case "PUT":
                return await self._put(request, upload), None
            case "DELETE":
                await self.before_abort()
                del self.uploads[request.query["uploadId"]]
                return web.Response(status=204), None
            case _:
                return await self._complete(request, upload)

    def loses_answer(self, request: web.Request) -> bool:
        """Return whether the answer to a request is lost, which happens once."""
        if request.method != "POST":
            return False

        kind = "create" if "uploads" in request.query else "complete"
        is_lost = kind in self.loses
        self.loses.discard(kind)
        return is_lost

    def _create(self, request: web.Request, key: str) -> web.Response:
        assert request.method == "POST"
        self.created += 1
        name = f"upload+{self.created}/="  # characters that a query must encode
        self.uploads[name] = Upload(
            key, request.headers["Content-Type"], request.headers.get("x-amz-meta-upload", "")
        )
        return web.Response(text=CREATED.format(name))

    async def _put(self, request: web.Request, upload: Upload) -> web.Response:
        number = int(request.query["partNumber"])
        self.storing += 1
        self.most_storing = max(self.storing, self.most_storing)

        try:
            data = await request.read()
            await self.before_part(number)
        finally:
            self.storing -= 1

        if hashlib.sha256(data).hexdigest() != request.headers["x-amz-content-sha256"]:
            return _error(400, "XAmzContentSHA256Mismatch")
        if number == self.fails_part:
            return _error(500, "InternalError")

        upload.parts[number] = data
        return web.Response(headers={"ETag": _etag(data)})

    async def _complete(
        self, request: web.Request, upload: Upload
    ) -> tuple[web.Response, Joined | None]:
        parts = [
            (int(part.findtext("{*}PartNumber") or 0), part.findtext("{*}ETag"))
            for part in fromstring(await request.text())  # noqa: S314 (our own client)
        ]
        if self.completion_error:
            return web.Response(text=ERROR.format(self.completion_error)), None
        if any(second <= first for (first, _), (second, _) in pairwise(parts)):
            return _error(400, "InvalidPartOrder"), None
        if not parts or any(_etag(upload.parts.get(it, b"")) != etag for it, etag in parts):
            return _error(400, "InvalidPart"), None
        if any(len(upload.parts[number]) < self.min_part_bytes for number, _ in parts[:-1]):
            return _error(400, "EntityTooSmall"), None

        del self.uploads[request.query["uploadId"]]
        data = b"".join(upload.parts[number] for number, _ in parts)
        return web.Response(text=COMPLETED), Joined(data, upload.media_type, upload.mark)


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _error(status: int, code: str) -> web.Response:
    return web.Response(status=status, text=ERROR.format(code))
