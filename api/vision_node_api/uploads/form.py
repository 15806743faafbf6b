"""Read an upload, which is either a form that contains an image, or the image itself."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from ..web.problems import Problem
from .disposition import decode_text, parse_disposition
from .form_part import Part, PartContent
from .form_reader import FormReader
from .image_choice import choose_image
from .image_inspection import too_many_bytes
from .known_fields import require_known_fields
from .submit_options import OPTION_NAMES, SubmitOptions, listed_names
from .upload_body import (
    Clock,
    UploadBody,
    declared_length,
    draining,
    largest_upload_bytes,
    require_identity,
)
from .upload_limit import UploadSlot

FORM_TYPE = b"multipart/form-data"
ANY_TYPE = b"application/octet-stream"


@dataclass(frozen=True, slots=True)
class Upload:
    """An image and its options, as the client sent them."""

    data: bytes
    """The whole image. If the client did not send an image, this is only the start of the data."""
    file_name: str | None
    fields: dict[str, str]
    """Options by name, from the form and the query string."""


async def read_upload(
    request: Request,
    slot: UploadSlot,
    max_image_bytes: int,
    clock: Clock = time.monotonic,
    *,
    options: Collection[str] = listed_names(SubmitOptions),
) -> Upload:
    """Return the image and the options of a request.

    If an upload is refused, the rest of it is read and discarded (within limits), because the
    client might otherwise not see the reason.

    Args:
        request: The request, whose body has not been read yet.
        slot: The upload's slot, which provides memory. When this function returns, the slot holds
            as many bytes as the image has.
        max_image_bytes: Maximum size of the image in bytes.
        clock: Function that returns the monotonic time in seconds. It is used to measure the rate.
        options: Names of the options that the refusal of an unknown form field lists.

    Raises:
        Problem: 400 MissingImage, TooManyImages, TooManyParts, UploadBroken, or BadRequest for a
            broken form; 408 UploadTooSlow; 413 ImageTooLarge; 415 NotAForm or
            ContentEncodingUnsupported; 422 ImageUnreadable or OptionsInvalid; 429 TooManyUploads.
    """
    declared = declared_length(request)
    body = UploadBody(request.receive, slot, max_image_bytes, declared, clock)

    async with draining(request, body, slot):
        _check_headers(request, max_image_bytes)
        reader = _reader_for(request, max_image_bytes)
        return await _read(request, body, slot, reader, options)


async def _read(
    request: Request,
    body: UploadBody,
    slot: UploadSlot,
    reader: "_Reader",
    options: Collection[str],
) -> Upload:
    try:
        while (chunk := await body.read()) is not None:
            reader.write(chunk)
            del chunk  # the chunk must be freed before the wait for memory, which may be long
            kept = reader.kept_bytes
            await slot.hold(kept, body.lookahead(kept))

        reader.close()
        image = choose_image(reader.parts)
        require_known_fields(reader.parts, image, options)
        data = image.content.data()
        fields = query_options(request, OPTION_NAMES) | _form_options(reader.parts)
    finally:
        # Free the memory now. Otherwise, the frames of a traceback might keep it until the garbage
        # collector runs.
        reader.discard()

    await slot.hold(len(data))
    return Upload(data, image.disposition.file_name, fields)


class _Reader(Protocol):
    """Receives the bytes of a body and splits them into parts."""

    parts: list[Part]

    @property
    def kept_bytes(self) -> int: ...

    def write(self, chunk: bytes) -> None: ...

    def close(self) -> None: ...

    def discard(self) -> None: ...


class _RawReader:
    """Receives a body that is the image itself, and treats it as the only part of a form."""

    def __init__(self, disposition: bytes, max_image_bytes: int) -> None:
        file_name = parse_disposition(disposition).file_name
        self.parts = [Part.of_file(file_name or "", PartContent(max_image_bytes))]

    @property
    def kept_bytes(self) -> int:
        return self.parts[0].content.kept_bytes

    def write(self, chunk: bytes) -> None:
        self.parts[0].content.write(memoryview(chunk))

    def close(self) -> None:
        self.parts[0].content.close()

    def discard(self) -> None:
        self.parts[0].content.discard()


def _check_headers(request: Request, max_image_bytes: int) -> None:
    """Refuse an upload if its headers alone show that it is not acceptable."""
    require_identity(request)

    declared = declared_length(request)
    if declared is not None and declared > largest_upload_bytes(max_image_bytes):
        raise too_many_bytes(max_image_bytes)


def _reader_for(request: Request, max_image_bytes: int) -> _Reader:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind == FORM_TYPE:
        return FormReader(options.get(b"boundary", b""), max_image_bytes)

    if kind == ANY_TYPE or kind.startswith(b"image/"):
        disposition = request.headers.get("content-disposition", "")
        return _RawReader(disposition.encode("latin-1"), max_image_bytes)

    detail = (
        "The request's Content-Type is neither that of a form nor that of an image. Send a form "
        "(multipart/form-data: curl -F file=@photo.jpg), or the image alone (curl --data-binary "
        "@photo.jpg -H 'Content-Type: image/jpeg')."
    )
    raise Problem(415, "NotAForm", detail)


def _form_options(parts: list[Part]) -> dict[str, str]:
    """Return a form's options by name. Blank options are left out."""
    texts = {part.name: decode_text(part.content.data()) for part in parts if part.is_option}
    return {name: text for name, text in texts.items() if text.strip()}


def query_options(request: Request, names: frozenset[str]) -> dict[str, str]:
    """Return the options with these names in the query string."""
    query = decode_text(request.scope["query_string"])
    return {name: text for name, text in parse_qsl(query) if name in names}
