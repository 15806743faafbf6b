"""Helper that submits an image to the API."""

from typing import Any

import httpx


async def submit(client: httpx.AsyncClient, data: bytes, **kwargs: Any) -> httpx.Response:
    return await client.post("/submit", files={"image": ("photo.jpg", data)}, **kwargs)
