"""Read the key in the body of POST /session, of which anyone can send as many as they like."""

import asyncio
from typing import Any
from urllib.parse import parse_qs

from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from .problems import Problem

MAX_BYTES = 10_000
"""Maximum size of the body in bytes. A key has 68 characters, and a token of Kubernetes up to 8 kB.
"""

READ_SECONDS = 10.0
"""Time limit for the whole body, in seconds."""

JSON_TYPE, FORM_TYPE = b"application/json", b"application/x-www-form-urlencoded"


async def read_key(request: Request) -> str:
    """Return the key in a body that is JSON or a form.

    No problem quotes the body, because it may contain a key.

    Raises:
        Problem: 400 BadRequest; 408 UploadTooSlow; 413 DocumentTooLarge;
            415 NotAForm; 422 InvalidRequest.
    """
    kind, _ = parse_options_header(request.headers.get("content-type"))
    if kind not in {JSON_TYPE, FORM_TYPE}:
        detail = (
            "The body is neither JSON nor a form. Send the key as JSON (curl -H "
            "'Content-Type: application/json' -d '{\"key\": \"vn_…\"}')."
        )
        raise Problem(415, "NotAForm", detail)

    data = await _read(request)
    key = _members(data).get("key") if kind == JSON_TYPE else _field(data)
    if not isinstance(key, str) or not key.strip():
        raise Problem(422, "InvalidRequest", "The body has no member `key` that is a text.")

    return key.strip()


async def _read(request: Request) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_BYTES:
                    detail = f"The body has more than {MAX_BYTES} bytes. Send only the key."
                    raise Problem(413, "DocumentTooLarge", detail)
    except TimeoutError as error:
        detail = f"The body did not arrive within {READ_SECONDS:g} s. Send the request again."
        raise Problem(408, "UploadTooSlow", detail) from error

    return bytes(data)


def _members(data: bytes) -> dict[str, Any]:
    try:
        found = from_json(data)
    except ValueError as error:
        raise Problem(400, "BadRequest", "The body is not valid JSON.") from error

    return found if isinstance(found, dict) else {}


def _field(data: bytes) -> str | None:
    try:
        found = parse_qs(data.decode(), strict_parsing=True, max_num_fields=20)
    except ValueError as error:
        raise Problem(400, "BadRequest", "The body is not a valid form.") from error

    values = found.get("key", [])
    return values[0] if len(values) == 1 else None
