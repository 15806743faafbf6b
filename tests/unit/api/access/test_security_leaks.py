"""Tests that search for keys, tokens and sessions wherever the API writes or answers."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from access.page_session import NAME, ORIGIN
from aiohttp import web
from api_fakes import Cluster, FakeBucket, picture
from api_server import until
from bench.api.memory import api_process
from fakes.keys_api import NAMESPACE, SECRET, KeysApi, User
from fakes.kube_api import KubeApi
from fakes.kube_server import serving
from fakes.s3 import serving_s3
from secured import SecuredApi, make_token
from vision_node_api.services.jobs import Jobs
from vision_node_contract.api_keys import ApiKey, hash_key, new_key


@dataclass
class Canaries:
    """Secrets that a client has sent, and what it was answered."""

    secrets: set[str] = field(default_factory=set)
    answers: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Remember a key, token or session by its parts that are secret."""
        parts = [text.rpartition("_")[2]] if text.startswith("vn_") else text.split(".")
        self.secrets |= {it for it in parts if len(it) > 30}

    def assert_absent(self, place: str, text: str) -> None:
        """Fail if a secret is in a text."""
        assert text, f"{place} is empty, so that nothing was searched"
        found = [it for it in self.secrets if it in text]
        assert not found, f"a secret is in {place}"


async def use(client: httpx.AsyncClient, credentials: list[str]) -> Canaries:
    """Send each key or token in valid and invalid requests, and the sessions that it begins."""
    canaries = Canaries()
    for text in credentials:
        canaries.add(text)
        bearer = {"Authorization": f"Bearer {text}"}
        form = {"file": ("photo.png", picture())}
        answers = [
            *[await client.get(path, headers=bearer) for path in ("/whoami", "/jobs", "/nothing")],
            await client.post("/submit", files=form, headers=bearer),
            await client.post("/submit", content=b"x", headers=bearer),
            await client.get("/keys", headers=bearer),
            await client.get("/whoami", headers={"Authorization": f"Basic {text}"}),
            await client.get("/whoami", headers={"Authorization": text}),
            await client.get("/whoami", headers={"Cookie": f"{NAME}={text}"}),
            await client.post("/session", json={"key": text}),
            await client.post("/session", json={"key": text}, headers=ORIGIN),
            await client.post("/session", data={"other": text}, headers=ORIGIN),
            await client.post("/session", content=text, headers=ORIGIN),
        ]

        session = client.cookies.get(NAME)
        if session:
            canaries.add(session)
            answers += [
                *[await client.get(path) for path in ("/whoami", "/jobs", "/nothing", "/keys")],
                await client.post("/submit", content=b"x"),
                await client.post("/submit", files=form, headers=ORIGIN),
                await client.get("/whoami", headers={"Cookie": f"{NAME}={session}A"}),
                await client.delete("/session", headers=ORIGIN),
            ]
        client.cookies.clear()
        canaries.answers += [readable(answer) for answer in answers]

    return canaries


def readable(answer: httpx.Response) -> str:
    """Return all that an answer says, apart from the cookie that is for its client."""
    headers = [f"{name}: {it}" for name, it in answer.headers.items() if name != "set-cookie"]
    return "\n".join([str(answer.status_code), *headers, answer.text])


async def test_no_secret_is_logged_counted_answered_or_stored(
    secured_api: SecuredApi,
    cluster: Cluster,
    bucket: FakeBucket,
    jobs: Jobs,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    user = User("jane", {"get", "create"})
    credentials = [
        secured_api.make_key("jane"),
        secured_api.make_key("root", ["admin"]),
        new_key()[1],
        make_token(secured_api.cluster, user, signature="canary" * 8),
    ]
    async with secured_api.client() as client:
        canaries = await use(client, credentials)
        assert len(canaries.secrets) >= 8

        def fail(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(jobs.cache, "peek", fail)
        bearer = {"Authorization": f"Bearer {credentials[0]}"}
        assert (await client.get("/status/job-x", headers=bearer)).status_code == 500

    canaries.assert_absent("the log", caplog.text)
    assert "ZeroDivisionError" in caplog.text
    canaries.assert_absent("the metrics", secured_api.app.state.metrics.text().decode())
    canaries.assert_absent("an answer", "\n".join(canaries.answers))
    canaries.assert_absent("an ImageJob", repr(cluster.jobs))
    canaries.assert_absent("the bucket", repr(bucket.objects))
    canaries.assert_absent("the Secret", repr(secured_api.cluster.data))

    for known in (secured_api.authentication, secured_api.keys, jobs, jobs.cache, client):
        canaries.assert_absent(
            f"{type(known).__name__} as text", repr(known) + repr(vars_of(known))
        )


def vars_of(known: object) -> Any:
    """Return the attributes of an object, so that their texts are searched, too."""
    names = getattr(type(known), "__slots__", None) or vars(known)
    return {name: getattr(known, name, None) for name in names}


class ProcessApi:
    """A fake API server for the API's process: no ImageJobs, one Describer, the keys."""

    def __init__(self, keys: KeysApi) -> None:
        self._keys = keys
        self._jobs = KubeApi(0, str)

    def add_routes(self, app: web.Application) -> None:
        """Add the paths to `app`."""
        self._keys.add_routes(app)
        self._jobs.add_routes(app)

    def end_watches(self) -> None:
        """End all watches, so that the server can stop."""
        self._keys.end_watches()
        self._jobs.end_watches()


@asynccontextmanager
async def process(keys: KeysApi, log: Path) -> AsyncIterator[str]:
    """Run the API as its container does, with access control, and yield its URL."""
    environment = {
        "POD_NAMESPACE": NAMESPACE,
        "AUTH_ENABLED": "true",
        "KEYS_SECRET": SECRET,
        "AUTH_AUDIENCE": "vision-node",
        "PYTHONASYNCIODEBUG": "1",
    }
    with log.open("wb") as file:
        async with (
            serving_s3() as (_, bucket),
            serving(ProcessApi(keys)) as kube_url,
            api_process(bucket, kube_url, environment, file) as (_, url),
        ):
            yield url


async def test_process_prints_no_secret(tmp_path: Path) -> None:
    keys, log = KeysApi(), tmp_path / "log"
    key_id, text = new_key()
    stored = ApiKey(
        name="root",
        owner="root",
        scopes=["admin"],
        sha256=hash_key(text),
        created_at="2026-01-01T00:00:00Z",
    )
    keys.put(f"key-{key_id}", stored.model_dump_json(by_alias=True))

    async with process(keys, log) as url, httpx.AsyncClient(base_url=url) as client:
        client.headers["Host"] = "api"
        canaries = await use(client, [text, new_key()[1]])
        assert [it for it in canaries.answers if it.startswith("204")]

        keys.put(f"key-{key_id}", "{broken")
        keys.put("key-broken", text)
        await until(lambda: b"broken" in log.read_bytes())
        await client.get("/whoami", headers={"Authorization": f"Bearer {text}"})

    canaries.assert_absent("what the process printed", log.read_text())
