"""Tests that damaged forms and random bytes never cause internal errors."""

import os
from collections.abc import Iterator

import httpx
import pytest
from form_bytes import BOUNDARY, form, part, text
from form_requests import BASE64, PNG, submit


def _damaged(body: bytes) -> Iterator[bytes]:
    """Yield damaged copies of the body: some are cut off, and others have one inverted byte."""
    yield from (body[:at] for at in range(0, len(body), 3))
    yield from (
        body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :] for at in range(0, len(body), 3)
    )


async def test_damaged_forms_never_cause_internal_errors(client: httpx.AsyncClient) -> None:
    whole = form(
        part(
            "form-data; name=\"file\"; filename*=UTF-8''%e2%82%ac.png",
            PNG,
            "Content-Type: image/png",
        ),
        text("prompt", "cat?"),
        text("copy", b"data:image/png;base64," + BASE64),
    )
    for body in _damaged(whole):
        assert (await submit(client, body)).status_code in {202, 400, 415, 422}


@pytest.mark.parametrize("size", [0, 1, 100, 100_000])
async def test_random_bytes_never_cause_internal_errors(
    client: httpx.AsyncClient, size: int
) -> None:
    start = f"--{BOUNDARY}\r\n".encode()
    for _ in range(20):
        response = await submit(client, start + os.urandom(size))
        assert response.status_code in {400, 413}
