"""Tests that a request is answered only with a valid key, whatever else it presents."""

import hmac
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_server import Connection, ask, post, serving, until
from fakes.keys_api import User
from secured import SecuredApi, make_token
from vision_node_api.__main__ import server_options
from vision_node_api.middleware import authentication
from vision_node_api.services.auth import key_store
from vision_node_api.services.auth.refusals import unauthenticated
from vision_node_api.web.http_settings import HttpSettings
from vision_node_contract.api_keys import key_id, new_key

PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def secured_port(secured_api: SecuredApi) -> AsyncIterator[int]:
    """The port of a real socket."""
    async with serving(secured_api.served) as port:
        yield port


def get(*headers: str, path: str = "/limits") -> bytes:
    """Return the bytes of a GET request."""
    return (
        "\r\n".join([f"GET {path} HTTP/1.1", "Host: api", *headers]).encode("latin-1") + b"\r\n\r\n"
    )


def bearer(text: str) -> str:
    return f"Authorization: Bearer {text}"


ACCEPTED = {
    "as documented": "Authorization: Bearer {key}",
    "a header in lower case": "authorization: Bearer {key}",
    "a header in upper case": "AUTHORIZATION: Bearer {key}",
    "a scheme in lower case": "Authorization: bearer {key}",
    "a scheme in upper case": "Authorization: BEARER {key}",
    "several spaces": "Authorization: Bearer   {key}",
    "space around the value": "Authorization:  \t Bearer {key} \t ",
}


@pytest.mark.parametrize("case", ACCEPTED)
async def test_valid_key_is_accepted(secured_api: SecuredApi, secured_port: int, case: str) -> None:
    key = secured_api.make_key("jane")
    response = await ask(secured_port, get(ACCEPTED[case].format(key=key)))
    assert response.status == 200


REFUSED = {
    "no header": [],
    "an empty header": ["Authorization:"],
    "only the scheme": ["Authorization: Bearer"],
    "only the key": ["Authorization: {key}"],
    "another scheme": ["Authorization: Basic {key}"],
    "a scheme that begins like it": ["Authorization: Bearers {key}"],
    "a tab": ["Authorization: Bearer\t{key}"],
    "no space": ["Authorization: Bearer{key}"],
    "quotes": ['Authorization: Bearer "{key}"'],
    "two headers": ["Authorization: Bearer {key}", "Authorization: Bearer {key}"],
    "two headers in another case": ["authorization: Bearer {key}", "AUTHORIZATION: Bearer x"],
    "two keys in one header": ["Authorization: Bearer {key}, Bearer {key}"],
    "something after the key": ["Authorization: Bearer {key} x"],
    "a key in upper case": ["Authorization: Bearer {upper}"],
    "a key without its end": ["Authorization: Bearer {short}"],
    "a key with more": ["Authorization: Bearer {key}a"],
    "another key with the same id": ["Authorization: Bearer {other}"],
    "an unknown key": ["Authorization: Bearer {unknown}"],
    "the id alone": ["Authorization: Bearer {id}"],
    "10 kB": ["Authorization: Bearer " + "a" * 10_000],
    "10 kB of a token": ["Authorization: Bearer " + ".".join(["a" * 3400] * 3)],
    "characters that are not ASCII": ["Authorization: Bearer vn_ä"],
    "a NUL in base64": ["Authorization: Bearer AAAA"],
    "dots": ["Authorization: Bearer .."],
    "a token of nothing": ["Authorization: Bearer e30.e30.e30"],
    "a header with a similar name": ["X-Authorization: Bearer {key}"],
    "a header with an underscore": ["Proxy_Authorization: Bearer {key}"],
    "a header of proxies": ["Proxy-Authorization: Bearer {key}"],
    "a header for keys of others": ["X-Api-Key: {key}"],
    "a cookie": ["Cookie: key={key}; vision_node_session={key}"],
}


@pytest.mark.parametrize("case", REFUSED)
async def test_anything_else_is_refused_with_the_same_response(
    secured_api: SecuredApi, secured_port: int, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = secured_api.make_key("jane")
    other = key[:-1] + ("a" if key[-1] != "a" else "b")
    texts = {
        "key": key,
        "upper": key.upper(),
        "short": key[:-1],
        "other": other,
        "unknown": new_key()[1],
        "id": key[:15],
    }
    headers = [it.format(**texts) if "{" in it else it for it in REFUSED[case]]

    response = await ask(secured_port, get(*headers))
    nothing = await ask(secured_port, get())

    assert response.status == 401
    assert response.is_problem
    assert response.json["reason"] == "Unauthenticated"
    assert response.body == nothing.body
    without_date = [
        {k: v for k, v in it.headers.items() if k != "date"} for it in (response, nothing)
    ]
    assert without_date[0] == without_date[1]
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "query", ["key={key}", "access_token={key}", "token={key}", "api_key={key}"]
)
async def test_key_in_the_query_is_never_read(
    secured_api: SecuredApi, secured_port: int, query: str
) -> None:
    key = secured_api.make_key("jane")
    response = await ask(secured_port, get(path=f"/limits?{query.format(key=key)}"))
    assert response.status == 401
    assert key not in response.body.decode()


async def test_expired_key_is_refused_without_a_change_of_the_secret(
    secured_api: SecuredApi,
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    key = secured_api.make_key("jane", expires_at=soon)
    async with secured_api.client(key) as client:
        assert (await client.get("/whoami")).status_code == 200
        while datetime.now(UTC) < soon:
            pass
        assert (await client.get("/whoami")).status_code == 401

    async with secured_api.client(secured_api.make_key("jane", expires_at=PAST)) as client:
        assert (await client.get("/whoami")).status_code == 401


async def test_revoked_key_is_refused_within_a_second(secured_api: SecuredApi) -> None:
    key = secured_api.make_key("jane")
    async with secured_api.client(key) as client:
        assert (await client.get("/whoami")).status_code == 200
        secured_api.cluster.put(f"key-{key_id(key)}", None)
        await until(lambda: secured_api.keys.count == 0)
        assert (await client.get("/whoami")).status_code == 401


async def test_deleted_secret_lets_no_key_in_until_it_is_restored(
    secured_api: SecuredApi, caplog: pytest.LogCaptureFixture
) -> None:
    key, other = secured_api.make_key("jane"), new_key()[1]
    backup = dict(secured_api.cluster.data or {})
    secured_api.cluster.delete()
    await until(lambda: secured_api.keys.is_missing)
    assert "was deleted" in caplog.text

    for text in (key, other):
        async with secured_api.client(text) as client:
            response = await client.get("/whoami")
        assert (response.status_code, response.headers["retry-after"]) == (503, "30")
        assert response.json()["reason"] == "AuthenticationUnavailable"
        assert "does not exist" in response.json()["detail"]

    async with secured_api.client("x") as client:
        assert (await client.get("/whoami")).status_code == 401, "this can't be a key"

    secured_api.cluster.restore(backup)
    await until(lambda: not secured_api.keys.is_missing)
    for text, expected in ((key, 200), (other, 401)):
        async with secured_api.client(text) as client:
            assert (await client.get("/whoami")).status_code == expected


async def test_deleted_secret_is_noticed_before_the_watch_tells(secured_api: SecuredApi) -> None:
    secured_api.cluster.watches.is_silent = True
    secured_api.cluster.delete()
    async with secured_api.client(new_key()[1]) as client:
        response = await client.get("/whoami")
    assert (response.status_code, response.headers["retry-after"]) == (503, "30")


async def test_user_of_kubernetes_needs_no_secret(secured_api: SecuredApi) -> None:
    secured_api.cluster.delete()
    await until(lambda: secured_api.keys.is_missing)
    token = make_token(secured_api.cluster, User("jane", {"get"}))
    async with secured_api.client(token) as client:
        assert (await client.get("/whoami")).status_code == 200


async def test_known_keys_work_while_the_api_server_is_away(secured_api: SecuredApi) -> None:
    key = secured_api.make_key("jane")
    secured_api.cluster.is_away = True
    secured_api.cluster.break_watches()
    await until(lambda: secured_api.cluster.requests["list"] > 1)

    async with secured_api.client(key) as client:
        assert (await client.get("/limits")).status_code == 200
    async with secured_api.client(secured_api.make_key("jane", expires_at=PAST)) as client:
        assert (await client.get("/limits")).status_code == 401


async def test_unknown_key_can_not_be_checked_while_the_api_server_is_away(
    secured_api: SecuredApi,
) -> None:
    """Another replica may have created the key, so 401 would be wrong."""
    secured_api.cluster.is_away = True
    async with secured_api.client(new_key()[1]) as client:
        response = await client.get("/limits")
    assert (response.status_code, response.json()["reason"]) == (503, "AuthenticationUnavailable")
    assert response.headers["retry-after"] == "2"


async def test_replica_that_has_read_no_keys_yet_refuses_nobody(secured_api: SecuredApi) -> None:
    key = secured_api.make_key("jane")
    secured_api.keys.is_loaded = False
    async with secured_api.client(key) as client:
        response = await client.get("/limits")
    assert (response.status_code, response.json()["reason"]) == (503, "AuthenticationUnavailable")
    assert response.headers["retry-after"] == "2"

    async with secured_api.client() as client:
        assert (await client.get("/limits")).status_code == 401


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []
    original = hmac.compare_digest

    def compare(a: str, b: str) -> bool:
        compared.append((a, b))
        return original(a, b)

    monkeypatch.setattr(key_store.hmac, "compare_digest", compare)
    created = datetime.now(UTC)
    key_text = new_key()[1]
    key = key_store.new_api_key(key_text, name="a", owner="a", scopes=["read"], expires_at=None)
    known = key_store.KnownKey("a", key)
    assert key.created_at <= created
    assert known.has_text(key_text)
    assert not known.has_text(new_key()[1])
    assert [b for _, b in compared] == [key.sha256] * 2


async def test_body_of_a_refused_upload_is_not_read(secured_port: int) -> None:
    """Uvicorn discards what arrives after the response."""
    async with Connection.open(secured_port) as connection:
        await connection.send(
            b"POST /submit HTTP/1.1\r\nHost: api\r\nContent-Length: 20000000\r\n\r\n"
        )
        response = await connection.response()
        assert response.status == 401
        for _ in range(20):
            await connection.send(b"x" * 1_000_000)
        await connection.send(get())
        assert (await connection.response()).status == 401


async def test_refused_upload_that_waits_for_permission_gets_none(secured_port: int) -> None:
    head = (
        b"POST /submit HTTP/1.1\r\nHost: api\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    )
    async with Connection.open(secured_port) as connection:
        await connection.send(head)
        response = await connection.response()
        assert (response.status, response.headers["connection"]) == (401, "close")
        assert await connection.ended() == b""


async def test_forbidden_upload_that_waits_for_permission_gets_none(
    secured_api: SecuredApi, secured_port: int
) -> None:
    key = secured_api.make_key("jane", ["read"])
    expecting = post(b"", "Expect: 100-continue", bearer(key)).replace(
        b"Content-Length: 0", b"Content-Length: 9"
    )
    async with Connection.open(secured_port) as connection:
        await connection.send(expecting)
        response = await connection.response()
        assert (response.status, response.headers["connection"]) == (403, "close")
        assert await connection.ended() == b""


async def test_head_is_refused_without_a_body(secured_port: int) -> None:
    async with Connection.open(secured_port) as connection:
        for _ in range(2):
            await connection.send(get().replace(b"GET", b"HEAD"))
            response = await connection.response(head=True)
            assert response.status == 401


async def test_path_of_a_refused_request_is_in_the_response(secured_port: int) -> None:
    for path, instance in (("/jobs/%22%5C", "/jobs/%22%5C"), ("/jobs/%C3%A4", "/jobs/%C3%A4")):
        document = (await ask(secured_port, get(path=path))).json
        assert document["instance"] == instance
        assert document["help"] == "/problems/Unauthenticated"


def test_refusals_are_problem_documents_of_the_usual_form() -> None:
    usual = unauthenticated().document("/jobs", "/vision")
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"path": "/jobs", "root_path": "/vision"}
    coroutine = authentication._send_refusal(scope, send, must_close=False)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert json.loads(sent[1]["body"]) == usual


async def test_keys_never_reach_the_log(
    secured_api: SecuredApi, secured_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = secured_api.make_key("jane", ["read"])
    wrong = new_key()[1]
    for request in (
        get(bearer(key)),
        get(bearer(wrong)),
        get(bearer(key), bearer(key)),
        get(bearer(key), path="/keys"),
        get(bearer(key), path=f"/jobs/x?key={key}"),
        get(f"Authorization: Basic {key}"),
        post(b"{}", bearer(key), path="/keys"),
        f"GET /limits HTTP/1.1\r\nHost: api\r\n{bearer(key)}\x00\r\n\r\n".encode(),
    ):
        await ask(secured_port, request)

    # pytest also records the access log, which the API's process turns off.
    assert server_options(HttpSettings())["access_log"] is False
    logged = [it for it in caplog.records if it.name != "uvicorn.access"]
    text = "\n".join(caplog.handler.format(it) for it in logged)
    assert "Invalid HTTP request" in text
    assert key not in text
    assert wrong not in text
