"""Tests of the routes that create, list and revoke API keys, and of GET /whoami."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_server import until
from fakes.kube_server import connected
from secured import SECURED, SecuredApi
from vision_node_api.services.auth import keys_secret
from vision_node_api.services.auth.assembly import authentication_of
from vision_node_contract import api_keys
from vision_node_contract.api_keys import hash_key, key_id, new_key


@pytest.fixture
async def admin(secured_api: SecuredApi) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an administrator's key."""
    async with secured_api.client(secured_api.make_key("boss", ["admin"])) as client:
        yield client


async def test_created_key_works_at_once(secured_api: SecuredApi, admin: httpx.AsyncClient) -> None:
    response = await admin.post("/keys", json={"name": "gallery"})
    created = response.json()
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert key_id(created["key"]) == created["id"]
    assert created == {
        "id": created["id"],
        "name": "gallery",
        "owner": "gallery",
        "scopes": ["submit", "read"],
        "expires_at": None,
        "key": created["key"],
    }

    async with secured_api.client(created["key"]) as client:
        assert (await client.get("/whoami")).json() == {
            "subject": "gallery",
            "owner": "gallery",
            "scopes": ["read", "submit"],
            "expires_at": None,
        }


async def test_secret_has_only_the_hash_of_a_key(
    secured_api: SecuredApi, admin: httpx.AsyncClient
) -> None:
    created = (await admin.post("/keys", json={"name": "a", "owner": "b"})).json()
    data = secured_api.cluster.body["data"]
    entry = base64.b64decode(data[f"key-{created['id']}"]).decode()
    assert hash_key(created["key"]) in entry
    assert created["key"].rsplit("_", 1)[1] not in entry


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "-a"}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "ä"}, "name"),
        ({"name": "a" * 64}, "name"),
        ({"name": "a", "owner": ""}, "owner"),
        ({"name": "a", "owner": "a/b"}, "owner"),
        ({"name": "a", "scopes": []}, "scopes"),
        ({"name": "a", "scopes": ["root"]}, "scopes"),
        ({"name": "a", "scopes": "read"}, "scopes"),
        ({"name": "a", "scopes": ["read"] * 11}, "scopes"),
        ({"name": "a", "expires": "yesterday"}, "expires: write a duration"),
        ({"name": "a", "expires": "30"}, "expires"),
        ({"name": "a", "expires": "0d"}, "in the future"),
        ({"name": "a", "expires": "-1d"}, "expires"),
        ({"name": "a", "expires": "2020-01-01T00:00:00Z"}, "in the future"),
        ({"name": "a", "expires": "2027-01-01"}, "expires"),
        ({"name": "a", "expires": "9999-12-31T23:59:59Z"}, "at most 3660 days"),
        ({"name": "a", "expires": "3661d"}, "at most 3660 days"),
        ({"name": "a", "expires": "999999w"}, "at most 3660 days"),
        ({"name": "a", "expires": 5}, "expires"),
        ({"name": "a", "expires": "٣d"}, "expires"),
        ({"name": "a", "admin": True}, "admin"),
    ],
)
async def test_invalid_key_is_refused(
    secured_api: SecuredApi, admin: httpx.AsyncClient, body: Any, words: str
) -> None:
    response = await admin.post("/keys", json=body)
    problem = response.json()
    assert (response.status_code, problem["reason"]) == (422, "OptionsInvalid")
    assert words in problem["detail"]
    assert secured_api.keys.count == 1


@pytest.mark.parametrize(("text", "hours"), [("12h", 12), ("30d", 720), ("8w", 1344)])
async def test_key_may_expire_after_a_duration(
    admin: httpx.AsyncClient, text: str, hours: int
) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    created = (await admin.post("/keys", json={"name": "a", "expires": text})).json()
    expires = datetime.fromisoformat(created["expires_at"])
    assert before <= expires - timedelta(hours=hours) <= datetime.now(UTC)


async def test_key_may_expire_at_a_time(admin: httpx.AsyncClient) -> None:
    time = (datetime.now(UTC) + timedelta(days=5)).replace(microsecond=0)
    body = {"name": "a", "expires": time.isoformat(), "scopes": ["read", "read"]}
    created = (await admin.post("/keys", json=body)).json()
    assert datetime.fromisoformat(created["expires_at"]) == time
    assert created["scopes"] == ["read"]


async def test_all_keys_are_listed_without_their_secrets(
    secured_api: SecuredApi, admin: httpx.AsyncClient
) -> None:
    created = (await admin.post("/keys", json={"name": "z"})).json()
    response = await admin.get("/keys")
    keys = response.json()["keys"]
    assert [it["name"] for it in keys] == ["boss", "z"]
    assert keys[1].keys() == {"id", "name", "owner", "scopes", "created_at", "expires_at"}
    assert created["key"] not in response.text
    assert hash_key(created["key"]) not in response.text
    assert response.headers["cache-control"] == "no-store"


async def test_list_has_keys_of_which_the_watch_has_not_told(
    secured_api: SecuredApi, admin: httpx.AsyncClient
) -> None:
    secured_api.cluster.watches.is_silent = True
    new_id, entry = entry_of("other")
    secured_api.cluster.put(f"key-{new_id}", entry)
    keys = (await admin.get("/keys")).json()["keys"]
    assert new_id in {it["id"] for it in keys}


async def test_revoked_key_stops_working_at_once(
    secured_api: SecuredApi, admin: httpx.AsyncClient
) -> None:
    key = secured_api.make_key("jane")
    path = f"/keys/{key_id(key)}"
    assert (await admin.delete(path)).status_code == 204
    async with secured_api.client(key) as client:
        assert (await client.get("/whoami")).status_code == 401

    repeated = await admin.delete(path)
    assert (repeated.status_code, repeated.json()["reason"]) == (404, "KeyNotFound")


@pytest.mark.parametrize(
    "unknown", ["a" * 12, "x", "session-secret", "a" * 500, "%0a", "K7Q2MZX4B3TA"]
)
async def test_unknown_key_can_not_be_revoked(
    secured_api: SecuredApi, admin: httpx.AsyncClient, unknown: str
) -> None:
    secured_api.cluster.put("key-x", "{}")
    before = dict(secured_api.cluster.body["data"])
    response = await admin.delete(f"/keys/{unknown}")
    assert (response.status_code, response.json()["reason"]) == (404, "KeyNotFound")
    assert len(response.json()["detail"]) < 150
    assert secured_api.cluster.body["data"] == before


async def test_keys_are_created_in_spite_of_conflicts(
    secured_api: SecuredApi, admin: httpx.AsyncClient
) -> None:
    """Other replicas create keys at the same time; none of them may be lost."""
    conflicts = 3

    async def change() -> None:
        nonlocal conflicts
        if conflicts:
            conflicts -= 1
            new_id, entry = entry_of("other")
            secured_api.cluster.put(f"key-{new_id}", entry)

    secured_api.cluster.before_patch = change
    created = await admin.post("/keys", json={"name": "a"})
    assert created.status_code == 201
    names = [it["name"] for it in (await admin.get("/keys")).json()["keys"]]
    assert sorted(names) == ["a", "boss", "other", "other", "other"]


async def test_endless_conflicts_are_reported(
    secured_api: SecuredApi, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_secret, "RETRY_SECONDS", (0.0, 0.0))

    async def change() -> None:
        secured_api.cluster.put("other", "x")

    secured_api.cluster.before_patch = change
    response = await admin.post("/keys", json={"name": "a"})
    assert (response.status_code, response.json()["reason"]) == (503, "AuthenticationUnavailable")
    assert secured_api.cluster.requests["patch"] == keys_secret.ATTEMPTS


async def test_simultaneous_creations_all_succeed(
    secured_api: SecuredApi, admin: httpx.AsyncClient
) -> None:
    responses = await asyncio.gather(*(admin.post("/keys", json={"name": "a"}) for _ in range(3)))
    assert [it.status_code for it in responses] == [201] * 3
    assert secured_api.keys.count == 4


async def test_creation_whose_answer_was_lost_happens_once(
    secured_api: SecuredApi, admin: httpx.AsyncClient
) -> None:
    secured_api.cluster.loses_answers = 1
    created = await admin.post("/keys", json={"name": "a"})
    assert created.status_code == 201
    assert secured_api.keys.count == 2


async def test_revocation_whose_answer_was_lost_succeeds(
    secured_api: SecuredApi, admin: httpx.AsyncClient
) -> None:
    key = secured_api.make_key("jane")
    secured_api.cluster.loses_answers = 1
    assert (await admin.delete(f"/keys/{key_id(key)}")).status_code == 204
    assert secured_api.keys.count == 1


async def test_number_of_keys_is_limited(
    secured_api: SecuredApi, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_api.services.auth.key_store.MAX_KEYS", 2)
    assert (await admin.post("/keys", json={"name": "a"})).status_code == 201
    response = await admin.post("/keys", json={"name": "b"})
    assert (response.status_code, response.json()["reason"]) == (409, "TooManyKeys")


def test_secret_has_room_for_the_maximum_number_of_keys() -> None:
    new_id, text = new_key()
    longest = api_keys.ApiKey(
        name="n" * 63,
        owner="o" * 63,
        scopes=["submit", "read", "admin"],
        sha256=hash_key(text),
        created_at=datetime.now(UTC),
        expires_at=datetime.now(UTC),
    )
    size = len(f'"key-{new_id}":"{longest.entry()}",')
    assert size * api_keys.MAX_KEYS < 1_000_000


async def test_missing_secret_is_reported(
    secured_api: SecuredApi, admin: httpx.AsyncClient
) -> None:
    secured_api.cluster.data = None
    response = await admin.post("/keys", json={"name": "a"})
    assert (response.status_code, response.json()["reason"]) == (503, "AuthenticationUnavailable")
    assert "does not exist" in response.json()["detail"]


async def test_api_server_that_is_away_is_reported(
    secured_api: SecuredApi, admin: httpx.AsyncClient
) -> None:
    secured_api.cluster.is_away = True
    for method, path in (("POST", "/keys"), ("GET", "/keys"), ("DELETE", f"/keys/{'a' * 12}")):
        body = {"name": "a"} if method == "POST" else None
        response = await admin.request(method, path, json=body)
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        assert response.json()["reason"] == "AuthenticationUnavailable"


async def test_log_says_who_created_and_revoked_a_key(
    admin: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vision_node_api")
    created = (await admin.post("/keys", json={"name": "gallery"})).json()
    await admin.delete(f"/keys/{created['id']}")

    lines = [it.getMessage() for it in caplog.records if it.name.endswith("routes.keys")]
    assert lines == [
        f"API key {created['id']} (name gallery, owner gallery, scopes submit,read) was created "
        "by 'boss'",
        f"API key {created['id']} was revoked by 'boss'",
    ]
    assert created["key"] not in caplog.text


async def test_key_of_another_replica_works_before_the_watch_tells(
    secured_api: SecuredApi,
) -> None:
    """Two replicas: the key is created at one, and used at the other at once."""
    secured_api.cluster.watches.is_silent = True
    new_id, text = new_key()
    async with connected(secured_api.cluster) as kube:
        other = authentication_of(SECURED, kube)
        assert other
        key = new_entry(text)
        await other.keys.create(new_id, key)
        assert other.keys.get(new_id)

    async with secured_api.client(text) as client:
        assert (await client.get("/whoami")).status_code == 200


async def test_thousands_of_wrong_keys_cost_the_api_server_one_request_a_second(
    secured_api: SecuredApi,
) -> None:
    authentication = secured_api.authentication
    before = secured_api.cluster.requests["get"]

    async def ask_with(text: str) -> None:
        await authentication.of_text(text, lambda: True)

    async with asyncio.timeout(20):
        await asyncio.gather(*(ask_with(new_key()[1]) for _ in range(3000)))
        await asyncio.gather(*(ask_with(new_key()[1]) for _ in range(100)))
    assert secured_api.cluster.requests["get"] - before <= 3


async def test_wrong_text_of_a_known_key_costs_no_request(secured_api: SecuredApi) -> None:
    key = secured_api.make_key("jane")
    async with secured_api.client(key[:-1] + ("a" if key[-1] != "a" else "q")) as client:
        await client.get("/whoami")
    assert secured_api.cluster.requests["get"] == 0


async def test_without_authentication_there_are_no_keys(client: httpx.AsyncClient) -> None:
    assert (await client.get("/whoami")).json() == {
        "subject": "anonymous",
        "owner": "",
        "scopes": ["admin", "read", "submit"],
        "expires_at": None,
    }
    for method, path in (("POST", "/keys"), ("GET", "/keys"), ("DELETE", "/keys/a")):
        response = await client.request(method, path)
        assert (response.status_code, response.json()["reason"]) == (501, "AuthenticationDisabled")


async def test_metrics_count_keys_and_refusals(
    secured_api: SecuredApi, admin: httpx.AsyncClient
) -> None:
    async with secured_api.client() as client:
        await client.get("/limits")
    async with secured_api.client(secured_api.make_key("jane", ["read"])) as client:
        await client.post("/submit")
    await until(lambda: secured_api.keys.count == 2)

    text = secured_api.app.state.metrics.text().decode()
    assert 'vision_node_refused_requests_total{reason="missing"} 1.0' in text
    assert 'vision_node_refused_requests_total{reason="forbidden"} 1.0' in text
    assert "vision_node_api_keys 2.0" in text


def new_entry(text: str, name: str = "other") -> api_keys.ApiKey:
    return api_keys.ApiKey(
        name=name,
        owner=name,
        scopes=["read"],
        sha256=hash_key(text),
        created_at=datetime.now(UTC),
    )


def entry_of(name: str) -> tuple[str, str]:
    """Return the id of a new key, and its entry in the Secret."""
    new_id, text = new_key()
    return new_id, new_entry(text, name).model_dump_json(by_alias=True)
