"""Helpers that submit forms, and sample images and texts for these forms."""

import base64
from typing import Any

import httpx
from api_fakes import LIMIT, picture
from form_bytes import FORM_TYPE, chunks, file

PNG = picture()
JPEG = picture("JPEG")
NOISE = picture(noise=100)
BASE64 = base64.b64encode(PNG)
EMPTY_INPUT = file("photo", b"", "")
"""What browsers send for a file input in which no file was selected."""
NO_IMAGE = b"no image, but a text of more than twenty-six bytes"


async def submit(
    client: httpx.AsyncClient, body: bytes, content_type: str = FORM_TYPE, **headers: str
) -> httpx.Response:
    sent = {
        "Content-Type": content_type,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return await client.post("/submit", content=body, headers=sent)


async def send(client: httpx.AsyncClient, body: bytes, piece: int | None) -> httpx.Response:
    headers = {"Content-Type": FORM_TYPE}

    async def pieces() -> Any:
        for chunk in chunks(body, max(piece, len(body) // 4000) if piece else LIMIT * 2):
            yield chunk

    return await client.post("/submit", content=pieces(), headers=headers)
