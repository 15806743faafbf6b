"""Tests that many wrong keys of one address are answered slowly, and right keys never are."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from api_server import Connection, RawResponse, ask, post, serving
from fakes.keys_api import KeysApi, User
from fastapi import FastAPI
from secured import SecuredApi, make_token, secured
from vision_node_api.services.auth import refusals
from vision_node_api.web import failure_budget
from vision_node_api.web.failure_budget import BURST
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.trusted_proxies import TrustedProxies
from vision_node_contract.api_keys import new_key

BURST_REQUESTS = int(BURST)


@pytest.fixture
def constant_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no budget come back, however slow this machine is."""
    monkeypatch.setattr(failure_budget, "PER_SECOND", 0.0)


@pytest.fixture
async def secured_port(secured_api: SecuredApi, constant_budget: None) -> AsyncIterator[int]:
    async with serving(secured_api.served) as port:
        yield port


def get(key: str = "", *headers: str) -> bytes:
    lines = ["GET /limits HTTP/1.1", "Host: api", *headers]
    lines += [f"Authorization: Bearer {key}"] if key else []
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def spend(port: int, *headers: str) -> None:
    """Use up the budget of this address."""
    async with Connection.open(port) as connection:
        for _ in range(BURST_REQUESTS):
            await connection.send(get("x", *headers))
            assert (await connection.response()).status == 401


async def seconds_of(port: int, request: bytes) -> tuple[float, RawResponse]:
    started = time.monotonic()
    response = await ask(port, request)
    return time.monotonic() - started, response


async def test_only_wrong_keys_are_delayed(
    secured_api: SecuredApi, secured_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "DELAY_SECONDS", 0.5)
    key = secured_api.make_key("jane")
    await spend(secured_port)

    for wrong in (get("x"), get(new_key()[1]), get()):
        seconds, response = await seconds_of(secured_port, wrong)
        assert response.status == 401
        assert seconds >= 0.5
        assert "connection" not in response.headers

    monkeypatch.setattr(refusals, "DELAY_SECONDS", 60.0)
    seconds, response = await seconds_of(secured_port, get(key))
    assert response.status == 200
    assert seconds < 60


async def test_delayed_answers_are_not_sent_at_once(
    secured_api: SecuredApi, secured_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that were answered at once would send their next requests at once, too."""
    monkeypatch.setattr(refusals, "DELAY_SECONDS", 0.2)
    monkeypatch.setattr(refusals, "ANSWERS_PER_SECOND", 20)
    key = secured_api.make_key("jane")
    await spend(secured_port)

    started = time.monotonic()
    wrong = [asyncio.create_task(seconds_of(secured_port, get("x"))) for _ in range(16)]
    *_, last = [await each for each in asyncio.as_completed(wrong)]
    assert time.monotonic() - started >= 0.2 + 15 / 20
    assert "connection" not in last[1].headers

    # The turns of the others do not concern a right key.
    waiting = [asyncio.create_task(ask(secured_port, get("x"))) for _ in range(16)]
    await asyncio.sleep(0.05)
    assert (await ask(secured_port, get(key))).status == 200
    assert not all(each.done() for each in waiting)
    await asyncio.gather(*waiting)


async def test_address_beyond_its_budget_costs_the_api_server_nothing(
    secured_api: SecuredApi, secured_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "DELAY_SECONDS", 0.0)
    await spend(secured_port)
    before = secured_api.cluster.requests["get"]
    async with Connection.open(secured_port) as connection:
        for _ in range(10):
            await connection.send(get(new_key()[1]))
            assert (await connection.response()).status == 401
    assert secured_api.cluster.requests["get"] == before


async def test_address_beyond_its_budget_can_not_use_up_questions_about_tokens(
    secured_api: SecuredApi, secured_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "DELAY_SECONDS", 0.0)
    known, new = (make_token(secured_api.cluster, User(name, {"get"})) for name in ("jane", "joe"))
    assert (await ask(secured_port, get(known))).status == 200
    await spend(secured_port)
    before = secured_api.cluster.requests["token"]

    # Nothing is said about a token that has not been checked.
    response = await ask(secured_port, get(new))
    assert response.status == 503
    assert response.json["reason"] == "AuthenticationUnavailable"
    assert "retry-after" in response.headers
    assert secured_api.cluster.requests["token"] == before

    assert (await ask(secured_port, get(known))).status == 200


async def test_connections_beyond_the_limit_of_delays_are_closed(
    secured_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "DELAY_SECONDS", 1.5)
    monkeypatch.setattr(refusals, "MAX_DELAYED", 1)
    await spend(secured_port)

    async with Connection.open(secured_port) as waiting, Connection.open(secured_port) as closed:
        await waiting.send(get("x"))
        await asyncio.sleep(0.1)
        await closed.send(get("x"))
        response = await closed.response()
        assert (response.status, response.headers["connection"]) == (401, "close")
        assert await closed.ended() == b""


async def test_upload_beyond_the_budget_is_not_held(
    secured_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "DELAY_SECONDS", 1.5)
    await spend(secured_port)
    chunked = b"POST /submit HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    for upload in (post(b"x" * 100), chunked):
        response = await ask(secured_port, upload)
        assert (response.status, response.headers["connection"]) == (401, "close")


async def test_client_that_leaves_gives_back_its_place(
    secured_api: SecuredApi, secured_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "DELAY_SECONDS", 0.2)
    monkeypatch.setattr(refusals, "MAX_DELAYED", 1)
    await spend(secured_port)
    async with Connection.open(secured_port) as leaving:
        await leaving.send(get("x"))
        await asyncio.sleep(0.05)

    async def is_delayed() -> bool:
        response = await ask(secured_port, get("x"))
        return "connection" not in response.headers

    async with asyncio.timeout(60):
        while not await is_delayed():
            pass


async def test_clients_behind_a_trusted_proxy_have_addresses_of_their_own(
    app: FastAPI, constant_budget: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "DELAY_SECONDS", 0.5)
    http = HttpSettings(trusted_proxies=TrustedProxies(["127.0.0.1"]))
    async with secured(app, KeysApi(), http) as api, serving(api.served) as port:
        await spend(port, "X-Forwarded-For: 192.0.2.1")
        slow, _ = await seconds_of(port, get("x", "X-Forwarded-For: 192.0.2.1"))
        quick, _ = await seconds_of(port, get("x", "X-Forwarded-For: 192.0.2.2"))
        assert quick < 0.5 <= slow


async def test_clients_can_not_invent_addresses(
    secured_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "DELAY_SECONDS", 0.5)
    await spend(secured_port, "X-Forwarded-For: 192.0.2.1")
    seconds, _ = await seconds_of(secured_port, get("x", "X-Forwarded-For: 192.0.2.2"))
    assert seconds >= 0.5
