"""Tests that responses that wait, or have no end, end soon after their client loses its access."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_server import serving, until
from fakes.keys_api import User
from fastapi import FastAPI
from following.event_reader import Feed, Stream, stream
from page_session import log_in, page_client, with_session
from secured import SecuredApi, make_token
from starlette.types import Message
from vision_node_api.routes.job_images import ImageResponse
from vision_node_api.services.auth import kubernetes_identities
from vision_node_api.services.auth.authentication import Authentication
from vision_node_api.services.auth.refusals import unauthenticated
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.jobs import Jobs
from vision_node_api.web import access_check
from vision_node_api.web.access_check import REQUIRE_ACCESS
from vision_node_api.web.json_lines import PIECE_BYTES
from vision_node_contract.api_keys import ENTRY_PREFIX, key_id
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.names import OWNER_LABEL

ENDED = "api key or token"
"""Part of the comment or line that says why a response ends."""

Lose = Callable[[SecuredApi, str], Awaitable[None]]


@pytest.fixture(autouse=True)
def frequent_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_check, "CHECK_SECONDS", 0.02)


@pytest.fixture
def feed(app: FastAPI, jobs: Jobs, batches: Batches) -> Feed:
    """Both watches, with a queued job and a running batch of Anna."""
    feed = Feed(app, jobs, batches)
    feed.list_jobs(100)
    feed.list_batches(100)
    feed.job("job-1", 101, **{OWNER_LABEL: "anna"})
    body = {
        "metadata": {
            "name": "holiday",
            "uid": "u",
            "resourceVersion": "102",
            "labels": {OWNER_LABEL: "anna"},
        },
        "spec": {"prefix": "inbox/x/"},
        "status": {"phase": "processing"},
    }
    batches.cache.observe(WatchEvent("MODIFIED", [body]))
    return feed


@pytest.fixture
async def secured_port(secured_api: SecuredApi) -> AsyncIterator[int]:
    async with serving(secured_api.served) as port:
        yield port


async def revoke(api: SecuredApi, key: str) -> None:
    await api.keys.revoke(key_id(key) or "")


async def relabel(api: SecuredApi, key: str) -> None:
    """Give the key to another owner, as an administrator can with kubectl."""
    entry = f"{ENTRY_PREFIX}{key_id(key)}"
    known = api.keys.get(key_id(key) or "")
    assert known
    changed = known.key.model_copy(update={"owner": "ben"})
    api.cluster.put(entry, changed.model_dump_json(by_alias=True))
    api.keys.observe(WatchEvent("MODIFIED", [api.cluster.body]))


async def delete_all(api: SecuredApi, _: str) -> None:
    api.keys.observe(WatchEvent("DELETED", [api.cluster.body]))


LOSSES: dict[str, tuple[Lose, str]] = {
    "the key is revoked": (revoke, ENDED),
    "the key gets another owner": (relabel, "rights of 'anna' have changed"),
    "the Secret is deleted": (delete_all, "with the api keys of this release does not exist"),
}

STREAMS = ["/events", "/jobs/job-1/events", "/batches/holiday/events"]


async def to_end(events: Stream) -> str:
    """Return the rest of a stream that ends without the end of its body."""
    blocks: list[str | None] = []

    async def read() -> None:
        while None not in blocks:
            blocks.append(await events.block())

    with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
        await read()
    return "\n".join(it or "" for it in blocks).lower()


@pytest.mark.parametrize("case", LOSSES)
@pytest.mark.parametrize("path", STREAMS)
async def test_stream_of_events_ends_with_the_access(
    secured_api: SecuredApi, secured_port: int, feed: Feed, path: str, case: str
) -> None:
    lose, expected = LOSSES[case]
    key = secured_api.make_key("anna")
    async with stream(secured_port, path, f"Authorization: Bearer {key}".encode()) as events:
        assert events.status == 200
        await until(lambda: feed.followers == 1)

        await lose(secured_api, key)
        assert expected in await to_end(events)

    await until(lambda: feed.followers == 0)


@pytest.mark.usefixtures("feed")
async def test_stream_ends_when_the_key_expires(secured_api: SecuredApi, secured_port: int) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    key = secured_api.make_key("anna", expires_at=soon)
    async with stream(secured_port, "/events", f"Authorization: Bearer {key}".encode()) as events:
        assert events.status == 200
        assert ENDED in await to_end(events)


@pytest.mark.usefixtures("feed")
async def test_stream_of_a_kubernetes_user_ends_when_the_rights_are_withdrawn(
    secured_api: SecuredApi, secured_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = User("jane", {"get"})
    token = make_token(secured_api.cluster, user)
    monkeypatch.setattr(kubernetes_identities._Answer.is_usable, "__defaults__", (0.1,))
    async with stream(secured_port, "/events", f"Authorization: Bearer {token}".encode()) as events:
        assert events.status == 200
        user.verbs.clear()
        assert "have changed" in await to_end(events)


@pytest.mark.usefixtures("feed")
async def test_stream_of_a_session_ends_with_the_secret_that_signs_sessions(
    secured_api: SecuredApi, secured_port: int
) -> None:
    async with page_client(secured_api) as page:
        session = await log_in(page, secured_api.make_key("anna"))

    cookie = f"Cookie: {with_session(session)['Cookie']}".encode()
    async with stream(secured_port, "/events", cookie) as events:
        assert events.status == 200
        secured_api.cluster.put("session-secret", None)
        secured_api.keys.observe(WatchEvent("MODIFIED", [secured_api.cluster.body]))
        assert ENDED in await to_end(events)


@pytest.mark.usefixtures("feed")
@pytest.mark.parametrize("path", ["/status/job-1", "/batches/holiday"])
async def test_wait_ends_early_with_the_access(
    secured_api: SecuredApi, secured_port: int, path: str
) -> None:
    key = secured_api.make_key("anna")
    headers = {"Authorization": f"Bearer {key}", "Prefer": "wait=60"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{secured_port}", timeout=20) as client:
        answer = asyncio.create_task(client.get(path, headers=headers))
        await until(lambda: secured_api.app.state.waits.waiting == 1)

        await secured_api.keys.revoke(key_id(key) or "")
        found = await answer

    assert found.status_code == 200
    assert "Preference-Applied" not in found.headers
    assert found.json()["status"] in {"queued", "processing"}


@pytest.mark.usefixtures("feed")
async def test_stream_goes_on_with_the_access(
    secured_api: SecuredApi, secured_port: int, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is revoked does not end the streams of other keys of its owner."""
    checked = []
    of_request = Authentication.of_request

    async def counted(*args: Any) -> Any:
        checked.append(await of_request(*args))
        return checked[-1]

    key, other = (secured_api.make_key("anna", name=name) for name in ("one", "two"))
    async with stream(secured_port, "/events", f"Authorization: Bearer {key}".encode()) as events:
        assert events.status == 200
        await secured_api.keys.revoke(key_id(other) or "")
        monkeypatch.setattr(Authentication, "of_request", counted)
        await until(lambda: len(checked) > 2)

        feed.job("job-1", 105, "done", **{OWNER_LABEL: "anna"})
        assert await events.texts(1) == ["job-1 done"]


@pytest.mark.usefixtures("feed")
async def test_followed_results_end_with_an_error_line(
    secured_api: SecuredApi, secured_port: int, batches: Batches
) -> None:
    key = secured_api.make_key("anna")
    url = f"http://127.0.0.1:{secured_port}/batches/holiday/results?follow=true"
    got = bytearray()

    async def read(answer: httpx.Response) -> None:
        async for piece in answer.aiter_raw():
            got.extend(piece)

    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("GET", url, headers={"Authorization": f"Bearer {key}"}) as answer,
    ):
        assert answer.status_code == 200
        await until(lambda: batches.limits.followers.streams == 1)

        await secured_api.keys.revoke(key_id(key) or "")
        with pytest.raises(httpx.RemoteProtocolError):
            await read(answer)

    assert json.loads(got.splitlines()[-1])["error"]["reason"] == "Unauthenticated"
    assert batches.limits.followers.streams == 0


async def test_image_that_is_broken_off_has_no_other_bytes() -> None:
    """It is shorter than its Content-Length, which clients notice."""
    sent = bytearray()
    is_full = asyncio.Event()

    async def send(message: Message) -> None:
        sent.extend(message.get("body", b""))
        if len(sent) >= PIECE_BYTES and not is_full.is_set():
            is_full.set()
            await asyncio.Event().wait()  # the client reads no further

    async def refuse() -> None:
        raise unauthenticated()

    async def receive() -> Message:
        return await asyncio.get_running_loop().create_future()

    data = b"i" * (3 * PIECE_BYTES)
    response = ImageResponse(data, ExitStack(), {"Content-Length": str(len(data))})
    scope = {"type": "http", "path": "/", REQUIRE_ACCESS: refuse}
    await asyncio.wait_for(response(scope, receive, send), 20)
    assert sent == data[:PIECE_BYTES]
