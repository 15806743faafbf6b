"""Reading a multipart upload with a bound: bytes are counted as they arrive."""

import asyncio
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.types import Message

from .intake import too_many_bytes
from .problems import Problem

FORM_OVERHEAD_BYTES = 64 * 1024
"""Boundaries, headers and the small fields beside the image."""

DRAIN_BYTES = 64 << 20
"""So much of a too large upload is read and thrown away before the refusal: a client that is still
sending would see a broken connection instead of the reason."""

UPLOAD_SECONDS = 60.0
"""An upload that takes longer holds memory that others need."""

IMAGE_FIELDS = ("image", "file")
"""`image` is the name in the documentation; `file` is what many clients send."""

MAX_FIELDS = 20

# The upload stays in memory (it is bounded, and the root file system is read-only).
MultiPartParser.spool_max_size = 1 << 30


@dataclass(frozen=True, slots=True)
class Upload:
    """A form as it was sent."""

    data: bytes
    file_name: str | None
    fields: dict[str, str]


async def read_upload(request: Request, limit: int) -> Upload:
    """Return the form of `request`, whose image may have at most `limit` bytes.

    Raises:
        Problem: 413 ImageTooLarge; 400 MissingImage, or BadRequest for a broken form; 415 NotAForm;
            408 UploadTooSlow.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        detail = "send a form: curl -F image=@photo.jpg … (multipart/form-data)"
        raise Problem(415, "NotAForm", detail)
    bounded = Request(request.scope, _Bounded(request, limit).receive)
    try:
        async with (
            asyncio.timeout(UPLOAD_SECONDS),
            bounded.form(max_files=1, max_fields=MAX_FIELDS) as form,
        ):
            return await _read(form)
    except TimeoutError as error:
        detail = f"the upload did not arrive within {UPLOAD_SECONDS:.0f} s"
        raise Problem(408, "UploadTooSlow", detail) from error
    except UnicodeError as error:
        raise Problem(400, "BadRequest", "the form's charset does not fit its text") from error
    except ClientDisconnect as error:
        raise Problem(400, "UploadBroken", "the upload ended before its end") from error


async def _read(form: FormData) -> Upload:
    upload = next((form[name] for name in IMAGE_FIELDS if name in form), None)
    if not isinstance(upload, UploadFile):
        raise Problem(400, "MissingImage", "the form has no file in a field named image")
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    return Upload(await upload.read(), upload.filename, fields)


class _Bounded:
    """An ASGI receive channel that refuses when more arrives than the form may have."""

    def __init__(self, request: Request, limit: int) -> None:
        self._request = request
        self._limit = limit
        self._received = 0

    async def receive(self) -> Message:
        message = await self._next()
        if self._received > self._limit + FORM_OVERHEAD_BYTES:
            while message.get("more_body") and self._received < self._limit + DRAIN_BYTES:
                message = await self._next()
            raise too_many_bytes(self._limit)
        return message

    async def _next(self) -> Message:
        message = await self._request.receive()
        self._received += len(message.get("body", b""))
        return message
