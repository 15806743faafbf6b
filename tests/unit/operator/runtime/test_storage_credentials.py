"""Tests of the Job that generates MinIO's credentials, with a fake API server on a socket."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from vision_node_contract.clients.kube import Kube, KubeError
from vision_node_contract.clients.kube_auth import Access
from vision_node_operator import setup_job
from vision_node_operator import storage_credentials as module

Json = dict[str, Any]

KEYS = {
    f"{user}-{kind}"
    for user in ("root", "api", "operator", "archiver", "describer")
    for kind in ("access-key", "secret-key")
}
PATH = "/api/v1/namespaces/ns/secrets"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class FakeServer:
    """A fake API server that has at most one Secret and refuses the requests in `refusals`."""

    def __init__(self) -> None:
        self.secret: Json | None = None
        self.refusals: list[tuple[str, int, str]] = []
        """Refusals as (method, HTTP status, message). Each is used once, in this order."""
        self.requests: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request.method)
        if self.refusals and self.refusals[0][0] == request.method:
            _, status, message = self.refusals.pop(0)
            reason = "AlreadyExists" if request.method == "POST" else "Conflict"
            return web.json_response({"reason": reason, "message": message}, status=status)

        match request.method:
            case "GET" if self.secret is None:
                return web.json_response(
                    {"reason": "NotFound", "message": "no such Secret"}, status=404
                )
            case "POST":
                assert self.secret is None
                self.secret = {**await request.json(), "type": "Opaque"}
                self.secret["metadata"]["resourceVersion"] = "1"
            case "PATCH":
                assert self.secret
                body = await request.json()
                assert (
                    body["metadata"]["resourceVersion"]
                    == self.secret["metadata"]["resourceVersion"]
                )
                self.secret = {
                    **self.secret,
                    "data": {**self.secret.get("data", {}), **body["data"]},
                }

        return web.json_response(self.secret)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
async def kube(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kube]:
    monkeypatch.setattr(setup_job, "PAUSE_SECONDS", (0.001, 0.001))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as session:
        yield Kube(Access(session, f"http://{host}:{port}"))

    await runner.cleanup()


async def ensure(kube: Kube) -> None:
    await setup_job.with_retries(lambda: module.ensure(kube, "ns", "storage"), "storage")


def values(server: FakeServer) -> dict[str, str]:
    assert server.secret
    return {key: base64.b64decode(value).decode() for key, value in server.secret["data"].items()}


async def test_missing_secret_is_created(server: FakeServer, kube: Kube) -> None:
    await ensure(kube)
    made = values(server)
    assert made.keys() == KEYS

    for user in module.USERS:
        name = made[f"{user}-access-key"]
        assert name.startswith(f"{user}-")
        assert len(name) <= 20, "MinIO accepts 3 to 20 characters"
        assert name != user, "some attacks on MinIO need only a user's access key"

    secrets = [value for key, value in made.items() if key.endswith("secret-key")]
    assert len(set(secrets)) == len(secrets)
    assert all(len(secret) == 32 for secret in secrets), "MinIO accepts 8 to 40 characters"


async def test_existing_keys_are_kept(server: FakeServer, kube: Kube) -> None:
    await ensure(kube)
    before = values(server)
    await ensure(kube)
    assert values(server) == before
    assert server.requests == ["GET", "POST", "GET"]


async def test_missing_keys_are_added_to_an_older_secret(server: FakeServer, kube: Kube) -> None:
    old = {"root-access-key": encoded("root"), "root-secret-key": encoded("known-to-the-volume")}
    server.secret = {
        "metadata": {"name": "storage", "resourceVersion": "7"},
        "data": {**old, "mine": "eA=="},
    }
    await ensure(kube)
    made = values(server)
    assert made["root-secret-key"] == "known-to-the-volume"
    assert made.keys() == {*KEYS, "mine"}


async def test_secret_has_no_label_that_lets_argo_cd_prune_it(
    server: FakeServer, kube: Kube
) -> None:
    await ensure(kube)
    assert server.secret
    assert "app.kubernetes.io/instance" not in server.secret["metadata"]["labels"]


@pytest.mark.parametrize(
    "refusals",
    [
        [("GET", 403, "secrets is forbidden: User x cannot get resource")],
        [("GET", 500, "etcd"), ("GET", 429, "slow down"), ("POST", 503, "unavailable")],
        [("POST", 409, "created by another Job")],
    ],
)
async def test_temporary_refusal_is_retried(server: FakeServer, kube: Kube, refusals: Any) -> None:
    server.refusals = refusals
    await ensure(kube)
    assert values(server).keys() == KEYS


async def test_secret_is_read_again_after_a_conflict(server: FakeServer, kube: Kube) -> None:
    server.secret = {"metadata": {"name": "storage", "resourceVersion": "7"}}
    server.refusals = [("PATCH", 409, "the object has been modified")]
    await ensure(kube)
    assert server.requests == ["GET", "PATCH", "GET", "PATCH"]


async def test_permanent_refusal_is_an_error(server: FakeServer, kube: Kube) -> None:
    server.refusals = [("POST", 422, "no such field")]
    with pytest.raises(KubeError, match="no such field"):
        await ensure(kube)


async def test_retries_end_after_the_deadline(
    server: FakeServer, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_job, "PATIENCE_SECONDS", 0.0)
    server.refusals = [("GET", 503, "unavailable")] * 100
    with pytest.raises(KubeError, match="unavailable"):
        await asyncio.wait_for(ensure(kube), 30)


async def test_no_credential_is_logged(
    server: FakeServer, kube: Kube, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await ensure(kube)
    assert not [
        value for key, value in values(server).items() if "secret" in key and value in caplog.text
    ]
