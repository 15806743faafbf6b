"""Tests of sessions of the page: how they begin and end, and whose they are."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from access.page_session import ORIGIN, cookie_of, log_in, page_client, status, with_session
from api_server import until
from fakes.keys_api import User
from fastapi import FastAPI
from httpx import ASGITransport
from secured import AUTH, KeysApi, SecuredApi, make_token, secured
from vision_node_api.services.auth import kubernetes_identities
from vision_node_api.services.auth.session_text import Session
from vision_node_api.web import login_body
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.trusted_proxies import TrustedProxies
from vision_node_contract.api_keys import SESSION_SECRET, key_id

MakeKey = Callable[..., str]
SECRET = b"s" * 32


@pytest.fixture
async def page(secured_api: SecuredApi) -> AsyncIterator[httpx.AsyncClient]:
    async with page_client(secured_api) as client:
        yield client


def known_id(key: str) -> str:
    found = key_id(key)
    assert found
    return found


def begun(api: SecuredApi, key: str, seconds_ago: float) -> str:
    """Return a session that began some time ago."""
    secret = api.keys.session_secret
    assert secret
    return Session.of_key(known_id(key), time.time() - seconds_ago).signed(secret)


async def test_session_has_the_rights_of_its_key(
    page: httpx.AsyncClient, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    key = make_key("jane", ["read"])
    await log_in(page, key)
    by_session = (await page.get("/whoami")).json()
    async with secured_api.client(key) as client:
        by_key = (await client.get("/whoami")).json()

    end = datetime.fromisoformat(by_session.pop("expires_at"))
    assert by_key.pop("expires_at") is None
    assert by_session == by_key
    assert abs(end.timestamp() - time.time() - AUTH.session_seconds) < 60

    forbidden = await page.post("/submit", content=b"x")
    assert (forbidden.status_code, forbidden.json()["reason"]) == (403, "Forbidden")


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        ('{"key": "%s"}', "application/json; charset=utf-8"),
        ('{"key": " %s\\n", "other": 1}', "application/json"),
        ("a=b&key=%s", "application/x-www-form-urlencoded"),
    ],
)
async def test_key_is_sent_as_json_or_as_a_form(
    page: httpx.AsyncClient, make_key: MakeKey, content: str, media_type: str
) -> None:
    body = content % make_key("jane")
    response = await page.post("/session", content=body, headers={"Content-Type": media_type})
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["cache-control"] == "no-store"
    assert (await page.get("/whoami")).status_code == 200


BODIES = {
    "no body": ("application/json", b"", 400, "BadRequest"),
    "no JSON": ("application/json", b"{", 400, "BadRequest"),
    "deep JSON": ("application/json", b"[" * 9000, 400, "BadRequest"),
    "no object": ("application/json", b"[]", 422, "InvalidRequest"),
    "no key": ("application/json", b'{"other": "a"}', 422, "InvalidRequest"),
    "an empty key": ("application/json", b'{"key": " "}', 422, "InvalidRequest"),
    "a number": ("application/json", b'{"key": 7}', 422, "InvalidRequest"),
    "too much": ("application/json", b'{"key": "%b"}' % (b"a" * 10_000), 413, "DocumentTooLarge"),
    "two keys": ("application/x-www-form-urlencoded", b"key=a&key=b", 422, "InvalidRequest"),
    "no form": ("application/x-www-form-urlencoded", b"\xff", 400, "BadRequest"),
    "many fields": (
        "application/x-www-form-urlencoded",
        b"&".join([b"a=b"] * 99),
        400,
        "BadRequest",
    ),
    "text": ("text/plain", b'{"key": "a"}', 415, "NotAForm"),
    "no type": ("", b'{"key": "a"}', 415, "NotAForm"),
}


@pytest.mark.parametrize("case", BODIES)
async def test_other_bodies_are_refused_and_not_quoted(page: httpx.AsyncClient, case: str) -> None:
    media_type, content, code, reason = BODIES[case]
    response = await page.post("/session", content=content, headers={"Content-Type": media_type})
    assert (response.status_code, response.json()["reason"]) == (code, reason)
    assert "set-cookie" not in response.headers
    assert "aaaa" not in response.text


async def test_body_must_arrive_in_time(
    page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_body, "READ_SECONDS", 0.02)

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"key": '
        await asyncio.Event().wait()

    response = await page.post(
        "/session", content=slowly(), headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, response.json()["reason"]) == (408, "UploadTooSlow")


async def test_wrong_keys_are_refused_like_those_of_other_requests(
    page: httpx.AsyncClient, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    past = datetime(2026, 1, 1, tzinfo=UTC)
    right = make_key("jane")
    async with secured_api.client(f"vn_aaaaaaaaaaaa_{'a' * 52}") as client:
        expected = (await client.get("/jobs")).json()

    for wrong in (
        "x",
        "é",
        f"vn_aaaaaaaaaaaa_{'a' * 52}",
        f"{right[:-1]}{'a' if right[-1] != 'a' else 'b'}",
        make_key("jane", expires_at=past),
        "a.b.c",
        "a" * 9000,
    ):
        response = await page.post("/session", json={"key": wrong})
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert "set-cookie" not in response.headers
        ignored = {"instance": None}
        assert {**response.json(), **ignored} == {**expected, **ignored}


async def test_session_ends_after_its_time(
    page: httpx.AsyncClient, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    key = make_key("jane")
    await log_in(page, key)
    page.cookies.clear()

    seconds = AUTH.session_seconds
    assert await status(page, begun(secured_api, key, seconds - 60)) == 200
    assert await status(page, begun(secured_api, key, seconds)) == 401


async def test_session_ends_with_its_key(page: httpx.AsyncClient, make_key: MakeKey) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=90)
    response = await page.post("/session", json={"key": make_key("jane", expires_at=soon)})
    (age,) = (it for it in response.headers["set-cookie"].split("; ") if it.startswith("Max-Age"))
    assert 60 <= int(age.removeprefix("Max-Age=")) <= 90
    assert datetime.fromisoformat((await page.get("/whoami")).json()["expires_at"]) == soon


async def test_expired_key_has_no_sessions(
    page: httpx.AsyncClient, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    await log_in(page, make_key("jane"))
    expired = make_key("jane", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    page.cookies.clear()
    assert await status(page, begun(secured_api, expired, 5)) == 401


async def test_revoking_a_key_ends_its_sessions_at_once(
    page: httpx.AsyncClient, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    key, admin = make_key("jane"), make_key("root", ["admin"])
    await log_in(page, key)
    async with secured_api.client(admin) as client:
        assert (await client.delete(f"/keys/{known_id(key)}")).status_code == 204

    response = await page.get("/whoami")
    assert (response.status_code, response.json()["reason"]) == (401, "Unauthenticated")


async def test_new_secret_ends_all_sessions(
    page: httpx.AsyncClient, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    key = make_key("jane")
    before = await log_in(page, key)
    secured_api.cluster.put(SESSION_SECRET, SECRET)
    await secured_api.keys.refresh()
    assert await status(page, before) == 401

    page.cookies.clear()
    await log_in(page, key)
    assert (await page.get("/whoami")).status_code == 200


async def test_missing_secret_is_replaced_at_the_next_login(
    page: httpx.AsyncClient, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    key = make_key("jane")
    before = await log_in(page, key)
    secured_api.cluster.put(SESSION_SECRET, None)
    await secured_api.keys.refresh()
    assert await status(page, before) == 401

    page.cookies.clear()
    await log_in(page, key)
    assert (await page.get("/whoami")).status_code == 200
    assert await status(page, before) == 401


async def test_session_of_another_replica_is_known_before_the_watch_tells(
    page: httpx.AsyncClient, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    """Another replica has created the secret and the key."""
    await log_in(page, make_key("jane"))
    page.cookies.clear()
    cluster = secured_api.cluster
    cluster.watches.is_silent = True
    body = secured_api.keys.get(known_id(make_key("joe")))
    assert body
    cluster.put("key-bbbbbbbbbbbb", body.key.model_dump_json(by_alias=True))
    cluster.put(SESSION_SECRET, SECRET)

    text = Session.of_key("bbbbbbbbbbbb", time.time()).signed(SECRET)
    response = await page.get("/whoami", headers=with_session(text))
    assert response.json()["owner"] == "joe"


async def test_unknown_session_is_no_error_of_its_own_while_the_api_server_is_away(
    page: httpx.AsyncClient, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    text = await log_in(page, make_key("jane"))
    secured_api.cluster.is_away = True
    assert await status(page, text) == 200

    page.cookies.clear()
    response = await page.get("/whoami", headers=with_session("v1.e30.AAAA"))
    assert (response.status_code, response.json()["reason"]) == (503, "AuthenticationUnavailable")


async def test_deleted_secret_lets_no_session_in_until_it_is_restored(
    page: httpx.AsyncClient, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    key = make_key("jane")
    await log_in(page, key)
    backup = dict(secured_api.cluster.data or {})
    secured_api.cluster.delete()
    await until(lambda: secured_api.keys.is_missing)

    for response in (await page.get("/whoami"), await page.post("/session", json={"key": key})):
        assert (response.status_code, response.headers["retry-after"]) == (503, "30")
        assert response.json()["reason"] == "AuthenticationUnavailable"
        assert "An administrator has to restore it" in response.json()["detail"]

    assert (await page.get("/ui")).status_code in {200, 307}
    secured_api.cluster.restore(backup)
    await until(lambda: not secured_api.keys.is_missing)
    assert (await page.get("/whoami")).status_code == 200


async def test_new_secret_in_place_of_a_deleted_one_asks_users_to_log_in(
    page: httpx.AsyncClient, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    await log_in(page, make_key("jane"))
    secured_api.cluster.delete()
    secured_api.cluster.restore({})
    await until(lambda: secured_api.keys.count == 0)
    assert (await page.get("/whoami")).status_code == 401

    await log_in(page, make_key("jane"))
    assert (await page.get("/whoami")).status_code == 200


async def test_session_is_not_refused_before_the_keys_have_been_read(
    page: httpx.AsyncClient, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    await log_in(page, make_key("jane"))
    secured_api.keys.is_loaded = False
    response = await page.get("/whoami")
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert "This says nothing about the session" in response.json()["detail"]


async def test_key_in_the_header_counts_more_than_a_session(
    page: httpx.AsyncClient, make_key: MakeKey
) -> None:
    await log_in(page, make_key("jane"))
    other = {"Authorization": f"Bearer {make_key('joe')}"}
    assert (await page.get("/whoami", headers=other)).json()["owner"] == "joe"
    for wrong in ("Bearer x", "Basic eDp5", ""):
        response = await page.get("/whoami", headers={"Authorization": wrong})
        assert response.status_code == 401


async def test_login_always_begins_a_new_session(
    page: httpx.AsyncClient, make_key: MakeKey
) -> None:
    """Otherwise, another server of the domain could set a session that a user then fills."""
    planted = await log_in(page, make_key("attacker"))
    own = await log_in(page, make_key("jane"))
    assert own != planted
    assert (await page.get("/whoami")).json()["owner"] == "jane"
    assert own != await log_in(page, make_key("jane"))


async def test_two_valid_sessions_are_none(page: httpx.AsyncClient, make_key: MakeKey) -> None:
    planted = await log_in(page, make_key("attacker"))
    own = await log_in(page, make_key("jane"))
    page.cookies.clear()
    assert await status(page, own, planted) == 401
    assert await status(page, planted, own) == 401
    assert await status(page, own, own) == 200


async def test_sessions_of_other_releases_do_not_disturb(
    page: httpx.AsyncClient, make_key: MakeKey
) -> None:
    own = await log_in(page, make_key("jane"))
    page.cookies.clear()
    other = Session.of_key("aaaaaaaaaaaa", time.time()).signed(SECRET)
    for texts in ((own, other), (other, own), (own, "x", "y")):
        assert await status(page, *texts) == 200
    assert await status(page, own, "1", "2", "3", "4") == 401


@pytest.mark.parametrize("change", [str.upper, lambda text: text[:-1], lambda text: f"{text}A"])
async def test_changed_session_is_none(
    page: httpx.AsyncClient, make_key: MakeKey, change: Callable[[str], str]
) -> None:
    text = await log_in(page, make_key("jane"))
    page.cookies.clear()
    assert await status(page, change(text)) == 401


async def test_logout_clears_the_cookie(page: httpx.AsyncClient, make_key: MakeKey) -> None:
    await log_in(page, make_key("jane"))
    response = await page.delete("/session")
    assert (response.status_code, cookie_of(response)) == (204, "")
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert (await page.get("/whoami")).status_code == 401
    assert (await page.delete("/session")).status_code == 204


async def test_images_and_events_need_only_the_cookie(
    page: httpx.AsyncClient, make_key: MakeKey
) -> None:
    for path in ("/jobs/job-x/image", "/jobs/job-x/thumbnail", "/jobs/job-x/events"):
        assert (await page.get(path)).status_code == 401

    await log_in(page, make_key("jane"))
    for path in ("/jobs/job-x/image", "/jobs/job-x/thumbnail", "/jobs/job-x/events"):
        response = await page.get(path)
        assert (response.status_code, response.json()["reason"]) == (404, "JobNotFound")


async def test_cookie_fits_the_address_behind_a_proxy(app: FastAPI) -> None:
    trusted = HttpSettings(trusted_proxies=TrustedProxies(["10.0.0.0/8"]))
    forwarded = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "example.com",
        "X-Forwarded-Prefix": "/vision",
        "Origin": "https://example.com",
    }
    async with secured(app, KeysApi(), trusted) as api:
        key = api.make_key("jane")
        transport = ASGITransport(api.served, client=("10.1.2.3", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://pod:8000") as client:
            response = await client.post("/session", json={"key": key}, headers=forwarded)
            attributes = set(response.headers["set-cookie"].split("; ")[1:])
            assert {"Path=/vision", "Secure", "HttpOnly", "SameSite=strict"} <= attributes

            foreign = {**forwarded, "Origin": "http://pod:8000"}
            refused = await client.post("/session", json={"key": key}, headers=foreign)
            assert (refused.status_code, refused.json()["reason"]) == (403, "OriginNotAllowed")


async def test_release_without_authentication_has_no_sessions(client: httpx.AsyncClient) -> None:
    response = await client.post("/session", json={"key": "a"}, headers=ORIGIN)
    assert (response.status_code, response.json()["reason"]) == (501, "AuthenticationDisabled")
    assert "set-cookie" not in response.headers
    assert (await client.get("/limits")).json()["authentication"] is False
    assert (await client.delete("/session", headers=ORIGIN)).status_code == 204


async def test_limits_tell_the_page_that_clients_are_authenticated(
    secured_api: SecuredApi, make_key: MakeKey
) -> None:
    async with secured_api.client(make_key("jane")) as client:
        assert (await client.get("/limits")).json()["authentication"] is True


async def test_session_of_a_kubernetes_user_lasts_an_hour_at_most(
    page: httpx.AsyncClient, secured_api: SecuredApi
) -> None:
    user = User("system:serviceaccount:web:shop", {"get"}, ["system:serviceaccounts"])
    response = await page.post("/session", json={"key": make_token(secured_api.cluster, user)})
    assert response.status_code == 204
    assert _age(response) <= 3600

    seen = (await page.get("/whoami")).json()
    assert (seen["owner"], seen["scopes"]) == ("sa-web.shop", ["read"])
    end = datetime.fromisoformat(seen["expires_at"]).timestamp()
    assert 3500 < end - time.time() <= 3600

    page.cookies.clear()
    short = make_token(secured_api.cluster, user, expires_in=120)
    assert _age(await page.post("/session", json={"key": short})) <= 120


def _age(response: httpx.Response) -> int:
    parts = response.headers["set-cookie"].split("; ")
    (age,) = (it.removeprefix("Max-Age=") for it in parts if it.startswith("Max-Age="))
    return int(age)


async def test_session_of_a_kubernetes_user_ends_at_its_time(
    page: httpx.AsyncClient, secured_api: SecuredApi
) -> None:
    user = User("jane", {"get"})
    await log_in(page, make_token(secured_api.cluster, user))
    secret = secured_api.keys.session_secret
    assert secret
    page.cookies.clear()

    now = time.time()
    named = kubernetes_identities.KubernetesUser("jane")
    for end, expected in ((now + 60, 200), (now - 1, 401)):
        text = Session.of_user(named, now - 3000, end).signed(secret)
        assert await status(page, text) == expected


async def test_rights_of_a_kubernetes_user_are_reviewed_again(
    page: httpx.AsyncClient, secured_api: SecuredApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = User("jane", {"get"})
    await log_in(page, make_token(secured_api.cluster, user))
    for _ in range(3):
        assert (await page.get("/whoami")).json()["scopes"] == ["read"]
    assert secured_api.cluster.requests["token"] == 1
    asked = secured_api.cluster.requests["access"]

    user.verbs.clear()
    assert (await page.get("/whoami")).json()["scopes"] == ["read"]
    assert secured_api.cluster.requests["access"] == asked

    later = time.monotonic() + kubernetes_identities.RIGHTS_SECONDS
    monkeypatch.setattr(secured_api.authentication.users, "_clock", lambda: later)
    answered = await page.get("/jobs")
    assert (answered.status_code, answered.json()["reason"]) == (403, "Forbidden")


async def test_session_of_a_user_in_too_many_groups_is_refused(
    page: httpx.AsyncClient, secured_api: SecuredApi
) -> None:
    user = User("jane", {"get"}, [f"group-{index}" for index in range(400)])
    token = make_token(secured_api.cluster, user)
    response = await page.post("/session", json={"key": token})
    assert (response.status_code, response.json()["reason"]) == (422, "SessionTooLong")
