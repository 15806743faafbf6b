"""Tests of a replica that authenticates its clients: readiness, settings, CORS and errors."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from api_health import health_of
from api_server import until
from fakes.keys_api import NAMESPACE, SECRET, KeysApi
from fakes.kube_server import connected
from fastapi import FastAPI
from secured import AUTH, SECURED, SecuredApi, secured
from vision_node_api.app import attach_services
from vision_node_api.services.auth.assembly import authentication_of, keys_follower
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.jobs import Jobs
from vision_node_api.settings import AuthSettings
from vision_node_api.web import access
from vision_node_api.web.access import Access, current_access
from vision_node_api.web.http_settings import HttpSettings
from vision_node_contract.clients.kube import Kube, WatchEvent

ORIGIN = "https://gallery.example.com"


@pytest.fixture
async def kube() -> AsyncIterator[Kube]:
    async with connected(KeysApi()) as kube:
        yield kube


async def test_replica_is_ready_when_it_has_read_the_keys(
    app: FastAPI, jobs: Jobs, batches: Batches, kube: Kube, client: httpx.AsyncClient
) -> None:
    follower = keys_follower(kube, authentication_of(SECURED, kube))
    assert follower
    attach_services(app, jobs, batches, replace(health_of(jobs), keys=follower), {})
    response = await client.get("/readyz")
    problem = response.json()
    assert (response.status_code, problem["reason"]) == (503, "NotReady")
    assert "The API keys have not been read yet." in problem["detail"]
    assert "Jobs and describers" not in problem["detail"]
    assert problem["keys"] == "NotChecked"

    with follower.running():
        await until(lambda: follower.listed)
        response = await client.get("/readyz")
    assert response.status_code == 200
    assert "keys" not in response.json()


async def test_replica_stays_ready_without_the_secret(
    app: FastAPI, jobs: Jobs, batches: Batches, client: httpx.AsyncClient
) -> None:
    """Else, a deleted Secret would take the page and the probes' details away, too."""
    cluster = KeysApi()
    async with connected(cluster) as kube:
        authentication = authentication_of(SECURED, kube)
        follower = keys_follower(kube, authentication)
        assert authentication
        assert follower
        keys = authentication.keys
        health = replace(health_of(jobs), keys=follower, key_store=keys)
        attach_services(app, jobs, batches, health, {})
        with follower.running():
            await until(lambda: follower.listed and cluster.is_watched)
            cluster.delete()
            await until(lambda: keys.is_missing)
            missing = await client.get("/readyz")
            cluster.restore({})
            await until(lambda: not keys.is_missing)
            restored = await client.get("/readyz")

    assert (missing.status_code, restored.status_code) == (200, 200)
    assert missing.json()["keys"] == "AuthenticationUnavailable"
    assert "does not exist" in missing.json()["details"]["keys"]
    assert "keys" not in restored.json()


async def test_replica_whose_watch_of_keys_has_ended_is_restarted(
    app: FastAPI, jobs: Jobs, batches: Batches, kube: Kube, client: httpx.AsyncClient
) -> None:
    authentication = authentication_of(SECURED, kube)
    follower = keys_follower(kube, authentication)
    assert follower

    def fail(_: object) -> None:
        raise RuntimeError("unexpected")

    follower._observe = fail
    attach_services(app, jobs, batches, replace(health_of(jobs), keys=follower), {})
    with follower.running():
        await until(lambda: follower._task is not None and follower._task.done())
        assert (await client.get("/healthz")).status_code == 500


async def test_nothing_is_authenticated_by_default(kube: Kube) -> None:
    settings = replace(SECURED, auth=None)
    assert authentication_of(settings, kube) is None
    assert keys_follower(kube, None) is None


async def test_tokens_are_only_accepted_with_an_audience(kube: Kube) -> None:
    settings = replace(SECURED, auth=replace(AUTH, audience=None))
    found = authentication_of(settings, kube)
    assert found
    assert found.users is None
    assert found.keys.secret.list_path == f"/api/v1/namespaces/{NAMESPACE}/secrets"
    assert found.keys.selectors.query() == [("fieldSelector", f"metadata.name={SECRET}")]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"AUTH_ENABLED": ""}, None),
        ({"AUTH_ENABLED": "false", "KEYS_SECRET": "k"}, None),
        ({"AUTH_ENABLED": "true", "KEYS_SECRET": "k"}, AuthSettings("k", None, 43_200)),
        (
            {
                "AUTH_ENABLED": "true",
                "KEYS_SECRET": "k",
                "AUTH_AUDIENCE": "vision-node",
                "SESSION_SECONDS": "60",
            },
            AuthSettings("k", "vision-node", 60),
        ),
    ],
)
def test_settings_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: AuthSettings | None
) -> None:
    for name in ("AUTH_ENABLED", "KEYS_SECRET", "AUTH_AUDIENCE", "SESSION_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert AuthSettings.from_env() == expected


@pytest.mark.parametrize("value", ["True", "1", "yes", "on"])
def test_misspelled_setting_does_not_turn_authentication_off(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("AUTH_ENABLED", value)
    with pytest.raises(ValueError, match="AUTH_ENABLED"):
        AuthSettings.from_env()


def seen_by(app: FastAPI, path: str) -> list[Access]:
    """Let a route of the application note the access of its clients."""
    seen: list[Access] = []

    async def note() -> None:
        seen.append(current_access())

    app.router.routes.clear()
    app.add_api_route(path, note)
    return seen


@pytest.mark.parametrize(("path", "expected"), [("/limits", "jane"), ("/healthz", "")])
async def test_route_knows_who_sent_the_request(app: FastAPI, path: str, expected: str) -> None:
    seen = seen_by(app, path)
    async with secured(app, KeysApi()) as api, api.client(api.make_key("jane")) as client:
        await client.get(path)
    (found,) = seen
    assert found.owner == expected
    assert not found.is_admin
    assert (found == access.NOBODY) is (expected == "")


async def test_simultaneous_requests_keep_their_own_access(app: FastAPI) -> None:
    seen: dict[str, str] = {}
    arrived = asyncio.Barrier(3)

    async def note(name: str) -> None:
        await arrived.wait()
        seen[name] = current_access().owner

    app.router.routes.clear()
    app.add_api_route("/limits", note)
    async with secured(app, KeysApi()) as api:
        clients = {name: api.client(api.make_key(name)) for name in ("a", "b", "c")}
        await asyncio.gather(*(it.get(f"/limits?name={name}") for name, it in clients.items()))
        for client in clients.values():
            await client.aclose()
    assert seen == {"a": "a", "b": "b", "c": "c"}
    assert current_access() == access.UNRESTRICTED


async def test_cached_status_needs_a_key(secured_api: SecuredApi, jobs: Jobs) -> None:
    body: dict[str, Any] = {
        "metadata": {"name": "job-a", "uid": "u", "labels": {"vision-node.dev/owner": "jane"}},
        "spec": {"image": {"key": "images/a"}},
    }
    jobs.cache.observe(WatchEvent("ADDED", [body]))
    async with secured_api.client() as client:
        assert (await client.get("/status/job-a")).status_code == 401
    async with secured_api.client(secured_api.make_key("jane", ["submit"])) as client:
        assert (await client.get("/status/job-a")).status_code == 403
    async with secured_api.client(secured_api.make_key("jane")) as client:
        assert (await client.get("/status/job-a")).status_code == 200


async def test_pages_of_other_origins_can_read_refusals(app: FastAPI) -> None:
    http = HttpSettings(cors_origins=(ORIGIN,))
    async with secured(app, KeysApi(), http) as api, api.client() as client:
        preflight = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        allowed = await client.options("/submit", headers=preflight)
        assert allowed.status_code == 200
        assert "authorization" in allowed.headers["access-control-allow-headers"].lower()

        refused = await client.get("/limits", headers={"Origin": ORIGIN})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == ORIGIN


async def test_routes_are_found_below_a_root_path(app: FastAPI) -> None:
    http = HttpSettings(root_path="/vision")
    async with secured(app, KeysApi(), http) as api:
        key = api.make_key("jane", ["read"])
        async with api.client() as client, api.client(key) as jane:
            for prefix in ("/vision", ""):
                assert (await client.get(f"{prefix}/healthz")).status_code == 200
                assert (await client.get(f"{prefix}/jobs")).status_code == 401
                assert (await jane.post(f"{prefix}/submit")).status_code == 403
            assert (await client.get("/vision")).status_code == 307
            refused = (await client.get("/vision/jobs")).json()
            assert refused["instance"] == "/vision/jobs"
            assert refused["help"] == "/vision/problems/Unauthenticated"
