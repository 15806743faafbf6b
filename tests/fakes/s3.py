"""A fake S3 server with one in-memory bucket, conditional writes and paginated lists."""

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Literal
from urllib.parse import quote
from xml.etree.ElementTree import fromstring
from xml.sax.saxutils import escape

from aiohttp import web
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.bucket import BucketSettings

from .s3_multipart import MultipartUploads

Conditions = Literal["kept", "ignored", "unknown"]

RELEASE_ID = "aaaabbbbcccc"
"""Id of the release whose components use the bucket."""

ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>no</Message></Error>'
LIST = (
    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<IsTruncated>{}</IsTruncated>{}</ListBucketResult>"
)
ENTRY = (
    "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size>"
    "</Contents>"
)
UNDELETED = "<Error><Key>{}</Key><Code>AccessDenied</Code><Message>It is locked.</Message></Error>"
DELETED = '<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{}</DeleteResult>'
FOLDER = "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>"


@dataclass
class StoredObject:
    """An object in the bucket."""

    data: bytes
    modified: datetime
    media_type: str = "image/png"
    sha256: str | None = None
    mark: str = ""
    """The header x-amz-meta-upload."""

    @property
    def etag(self) -> str:
        """The object's ETag."""
        # The hash includes the time, so that storing the same bytes again changes the ETag.
        return (
            f'"{hashlib.sha256(self.data + self.modified.isoformat().encode()).hexdigest()[:32]}"'
        )


async def do_nothing(_: str) -> None:
    """Do nothing."""


class S3:
    """A bucket, and the faults that it simulates."""

    def __init__(self) -> None:
        self.objects: dict[str, StoredObject] = {}
        self.conditions: Conditions = "kept"
        """How If-Match and If-None-Match are handled: respected, ignored or answered with 501."""
        self.fails: tuple[int, str] | None = None
        """HTTP status and error code of every response, or None to answer requests normally."""
        self.page = 1000
        """Maximum number of keys in a list response, even if the request allows more."""
        self.before_put: Callable[[str], Awaitable[None]] = do_nothing
        """Function to call with the key before a PUT request is handled."""
        self.undeletable: set[str] = set()
        """Keys of objects that an object lock protects from deletion."""
        self.forbidden_outside = ""
        """Part of a key that a request must have, as if a policy allowed only some folders."""
        self.listed_prefixes: list[str] = []
        """Prefix of each list request."""
        self.repeats_page = False
        """Whether every list request is answered with the first page, which claims not to be the
        last one."""
        self.keeps_ranges = True
        """Whether GET requests with the header Range are answered with a part of the object."""
        self.before_get: Callable[[str], Awaitable[None]] = do_nothing
        """Function to call with the key before a GET or HEAD request for an object is handled."""
        self.before_list: Callable[[str], Awaitable[None]] = do_nothing
        """Function to call with the prefix before a list request is handled."""
        self.requests: list[str] = []
        """Method and path of each request."""
        self.refuses_bulk: tuple[int, str] | None = None
        """HTTP status and error code of the answer to DeleteObjects, or None to answer normally."""
        self.deletions: list[list[str]] = []
        """Keys of each request that deletes one or several objects, even if it is refused."""
        self.multipart = MultipartUploads()
        """Multipart uploads that are neither complete nor aborted."""

    def put(self, key: str, data: bytes = b"x", modified: datetime | None = None) -> None:
        """Store an object directly, without a request."""
        self.objects[key] = StoredObject(data, modified or datetime.now(UTC))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.requests.append(f"{request.method} {request.path}")

        key = request.path.removeprefix("/bucket").removeprefix("/")
        if request.method == "POST" and not key:
            return await self._delete_many(request)
        if request.method == "DELETE" and "uploadId" not in request.query:
            self.deletions.append([key])

        is_forbidden = self.forbidden_outside not in (key or request.query.get("prefix", ""))
        if refusal := self.fails or ((403, "AccessDenied") if is_forbidden else None):
            return error_response(request, *refusal)
        if not key and request.method == "GET":
            await self.before_list(request.query.get("prefix", ""))
            return self._list(request)

        return await self._answer_object(request, key) if key else web.Response()

    async def _answer_object(self, request: web.Request, key: str) -> web.StreamResponse:
        if {"uploads", "uploadId"} & request.query.keys():
            return await self._answer_multipart(request, key)

        match request.method:
            case "PUT":
                return await self._put(request, key)
            case "DELETE":
                if key in self.undeletable:
                    return error_response(request, 403, "AccessDenied")
                self.objects.pop(key, None)
                return web.Response(status=204)
            case _:
                await self.before_get(key)
                return self.read(request, key)

    async def _delete_many(self, request: web.Request) -> web.StreamResponse:
        """Answer DeleteObjects. Policies and locks apply to each object."""
        body = await request.read()
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        root = fromstring(body)  # noqa: S314 (from our own client)
        keys = [it.text or "" for it in root.iterfind("{*}Object/{*}Key")]
        self.deletions.append(keys)

        if refusal := self.fails or self.refuses_bulk:
            return error_response(request, *refusal)
        if request.headers["Content-MD5"] != b64encode(md5).decode():
            return error_response(request, 400, "BadDigest")
        if not 0 < len(keys) <= 1000 or root.findtext("{*}Quiet") != "true":
            return error_response(request, 400, "MalformedXML")

        locked = [it for it in keys if it in self.undeletable or self.forbidden_outside not in it]
        for key in set(keys) - set(locked):
            self.objects.pop(key, None)
        return web.Response(
            text=DELETED.format("".join(UNDELETED.format(escape(it)) for it in locked))
        )

    async def _answer_multipart(self, request: web.Request, key: str) -> web.StreamResponse:
        answer, joined = await self.multipart.answer(request, key)
        if joined:
            self.objects[key] = StoredObject(
                joined.data, datetime.now(UTC), joined.media_type, mark=joined.mark
            )
        if self.multipart.loses_answer(request):
            assert request.transport is not None
            request.transport.abort()
        return answer

    def read(self, request: web.Request, key: str) -> web.StreamResponse:
        """Answer a GET or HEAD request for one object."""
        found = self.objects.get(key)
        if found is None:
            return error_response(request, 404, "NoSuchKey")

        headers = {
            "ETag": found.etag,
            "Last-Modified": format_datetime(found.modified, usegmt=True),
        }
        headers |= {"Content-Type": found.media_type, "Content-Length": str(len(found.data))}
        if found.sha256:
            headers["x-amz-meta-sha256"] = found.sha256
        if found.mark:
            headers["x-amz-meta-upload"] = found.mark

        if request.headers.get("If-Match", found.etag) != found.etag:
            return error_response(request, 412, "PreconditionFailed")
        if request.http_range.start is not None and self.keeps_ranges:
            return _part(request, found.data, headers)

        return web.Response(body=found.data, headers=headers)

    async def _put(self, request: web.Request, key: str) -> web.StreamResponse:
        data, headers = await request.read(), request.headers
        await self.before_put(key)
        conditional = {"If-Match", "If-None-Match"} & {name.title() for name in headers}
        if conditional and self.conditions == "unknown":
            return error_response(request, 501, "NotImplemented")
        if conditional and self.conditions == "kept" and not self._condition_holds(request, key):
            return error_response(request, 412, "PreconditionFailed")

        sha256 = headers.get("x-amz-meta-sha256")
        assert sha256 is None or "x-amz-meta-sha256" in headers["Authorization"]
        self.objects[key] = StoredObject(data, datetime.now(UTC), headers["Content-Type"], sha256)
        return web.Response()

    def _condition_holds(self, request: web.Request, key: str) -> bool:
        found = self.objects.get(key)
        if request.headers.get("If-None-Match") == "*":
            return found is None
        return found is not None and request.headers["If-Match"] == found.etag

    def _list(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        assert query["list-type"] == "2"
        after, prefix = query.get("start-after", ""), query["prefix"]
        self.listed_prefixes.append(prefix)
        if self.repeats_page:
            after = ""
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        if query.get("delimiter"):
            keys = sorted({_to_slash(key, prefix) for key in keys})
        count = min(self.page, int(query["max-keys"]))
        entries = "".join(map(self._list_entry, keys[:count]))
        is_truncated = str(self.repeats_page or len(keys) > count).lower()

        answer = web.Response(text=LIST.format(is_truncated, entries))
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            answer.enable_compression(web.ContentCoding.gzip)

        return answer

    def _list_entry(self, key: str) -> str:
        found = self.objects.get(key)
        if found is None:
            return FOLDER.format(quote(key))

        modified = found.modified.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return ENTRY.format(
            quote(key), modified, found.etag.replace('"', "&quot;"), len(found.data)
        )


def _to_slash(key: str, prefix: str) -> str:
    """Return the key up to the first slash after the prefix, as a list with a delimiter does."""
    first, slash, _ = key.removeprefix(prefix).partition("/")
    return prefix + first + slash


def _part(request: web.Request, data: bytes, headers: dict[str, str]) -> web.Response:
    """Return the part of an object that the header Range names."""
    first, end = request.http_range.start, request.http_range.stop
    if first >= len(data):
        return error_response(request, 416, "InvalidRange")

    part = data[first:end]
    content_range = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
    own = {"Content-Range": content_range, "Content-Length": str(len(part))}
    return web.Response(status=206, body=part, headers=headers | own)


def error_response(request: web.Request, status: int, code: str) -> web.Response:
    """Return an error in S3's format. The response to a HEAD request has no body."""
    return web.Response(status=status, text="" if request.method == "HEAD" else ERROR.format(code))


@asynccontextmanager
async def serving_s3() -> AsyncIterator[tuple[S3, BucketSettings]]:
    """Serve an empty bucket. Yield the bucket and the settings to access it."""
    s3, app = S3(), web.Application(client_max_size=1 << 26)
    app.router.add_route("*", r"/{path:[\s\S]*}", s3.answer)  # keys may contain line feeds
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()

    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield (
            s3,
            BucketSettings(
                f"{host}:{port}",
                "bucket",
                "access",
                "top-secret",
                secure=False,
                folders=BucketFolders(RELEASE_ID),
            ),
        )
    finally:
        await runner.cleanup()
