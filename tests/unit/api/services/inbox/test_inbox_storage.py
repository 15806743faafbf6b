"""Tests of the inbox while the bucket refuses requests or does not respond."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fakes.s3 import S3
from inbox_requests import PNG, outcome, put
from vision_node_api.services import inbox as module
from vision_node_api.services.jobs import Jobs

Send = Callable[[httpx.AsyncClient], Any]
REQUESTS: dict[str, Send] = {
    "POST": lambda web: put(web, "a.png", PNG),
    "list": lambda web: web.get("/inbox"),
    "GET": lambda web: web.get("/inbox/a.png"),
    "DELETE": lambda web: web.delete("/inbox/a.png"),
}


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (507, "XMinioStorageFull", "StorageFull"),
        (403, "AccessDenied", "StorageDenied"),
        (404, "NoSuchBucket", "BucketNotFound"),
        (503, "SlowDown", "StorageUnavailable"),
    ],
)
async def test_storage_errors_are_reported(
    web: httpx.AsyncClient, s3: S3, jobs: Jobs, request_: str, status: int, code: str, reason: str
) -> None:
    s3.fails = status, code
    response = await REQUESTS[request_](web)
    assert outcome(response) == (503, reason)
    assert int(response.headers["retry-after"]) > 0
    assert jobs.storage.state.state == reason


async def test_unresponsive_bucket_is_reported(
    web: httpx.AsyncClient, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: str) -> None:
        await asyncio.Event().wait()

    s3.before_put = hang
    monkeypatch.setattr(module, "RESPONSE_SECONDS", 0.2)
    assert outcome(await put(web, "a.png", PNG)) == (503, "StorageUnavailable")


@pytest.mark.parametrize("existing", [True, False])
async def test_deletion_does_not_prove_that_storage_has_room(
    web: httpx.AsyncClient, s3: S3, jobs: Jobs, *, existing: bool
) -> None:
    s3.fails = 507, "XMinioStorageFull"
    await put(web, "a.png", PNG)
    s3.fails = None
    if existing:
        s3.put("inbox/aaaabbbbcccc/a.png")

    assert (await web.delete("/inbox/a.png")).status_code == (204 if existing else 404)
    assert jobs.storage.state.state == "StorageFull"
    assert (await put(web, "b.png", PNG)).status_code == 201
    assert jobs.storage.state.is_ok
