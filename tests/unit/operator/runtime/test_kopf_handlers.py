"""Tests of kopf with the operator's settings and a fake API server that listens on a socket."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from socket import create_server
from typing import Any

import aiohttp
import kopf
import pytest
from aiohttp import web
from vision_node_contract.clients.kube import NotFoundError, UnavailableError
from vision_node_contract.names import COMPONENT_LABEL, DESCRIBER_LABEL, WORKER_COMPONENT
from vision_node_operator.runtime import kopf_handlers as module
from vision_node_operator.settings import Settings

LABELS = {COMPONENT_LABEL: WORKER_COMPONENT, DESCRIBER_LABEL: "metadata"}
POD = {
    "metadata": {
        "name": "w0",
        "namespace": "ns",
        "uid": "u",
        "labels": LABELS,
        "resourceVersion": "6",
    }
}
KINDS = [
    {
        "name": name,
        "singularName": name[:-1],
        "kind": kind,
        "namespaced": True,
        "verbs": ["list", "watch"],
    }
    for name, kind in (("namespaces", "Namespace"), ("pods", "Pod"))
]


class FakeServer:
    """A fake API server that has only pods. Its first watch hangs; later watches report a pod."""

    def __init__(self) -> None:
        self.watches: list[str] = []
        self.closing = asyncio.Event()

    async def get(self, request: web.Request) -> web.StreamResponse:
        match request.path, "watch" in request.query:
            case "/api", _:
                return web.json_response({"versions": ["v1"]})
            case "/api/v1", _:
                return web.json_response({"resources": KINDS})
            case "/apis", _:
                return web.json_response({"groups": []})
            case "/api/v1/namespaces/ns/pods", False:
                return web.json_response({"metadata": {"resourceVersion": "5"}, "items": []})
            case "/api/v1/namespaces/ns/pods", True:
                return await self.watch(request)

        raise web.HTTPNotFound

    async def watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if self.watches:
            await response.write(json.dumps({"type": "ADDED", "object": POD}).encode() + b"\n")
        self.watches.append(request.query["resourceVersion"])
        await self.closing.wait()
        return response


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeServer]:
    """Run a fake API server, and set KUBECONFIG so that clients connect to it."""
    server = FakeServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.get)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://{host}:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    yield server
    server.closing.set()
    await runner.cleanup()


class FakeReconciler:
    """A fake reconciler that records the events it receives."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, str | None, str]] = asyncio.Queue()

    def observe(self, kind: str, event: str | None, body: dict[str, Any]) -> None:
        self.events.put_nowait((kind, event, body["metadata"]["name"]))


def test_lost_watch_is_noticed_within_a_minute() -> None:
    settings = module.kopf_settings().watching
    assert settings.server_timeout < settings.client_timeout <= 60  # type: ignore[operator]


async def test_lost_watch_resumes_at_the_last_resource_version(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_LOST_SECONDS", 0.2)
    reconciler, stop = FakeReconciler(), asyncio.Event()
    settings = module.kopf_settings()
    operator = asyncio.create_task(
        kopf.operator(
            registry=kopf.get_default_registry(),
            settings=settings,
            memo=kopf.Memo(reconciler=reconciler),
            stop_flag=stop,
            standalone=True,
            namespaces=["ns"],
        )
    )

    try:
        assert await asyncio.wait_for(reconciler.events.get(), 30) == ("pods", "ADDED", "w0")
        assert server.watches[:2] == ["5", "5"]
    finally:
        server.closing.set()
        stop.set()
        await operator
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)


class FakeConfigMaps:
    """A fake API server that answers only requests for the release's ConfigMap."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def request(self, method: str, path: str) -> Any:
        assert (method, path) == ("GET", "/api/v1/namespaces/ns/configmaps/vision-node-release")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "since"),
    [
        (
            {"metadata": {"creationTimestamp": "2026-01-08T09:30:00Z"}},
            datetime(2026, 1, 8, 9, 30, tzinfo=UTC),
        ),
        (NotFoundError(404, "NotFound", "no such ConfigMap"), None),
    ],
)
async def test_installation_time_is_read_from_the_release_configmap(
    answer: Any, since: datetime | None
) -> None:
    kube: Any = FakeConfigMaps(answer)
    assert await module.installed_at(kube, Settings("ns", "describers", "vn")) == since


async def test_probes_are_answered_while_the_operator_waits_for_the_api_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requested = asyncio.Event()

    class UnavailableServer:
        async def request(self, *_: Any, **__: Any) -> Any:
            requested.set()
            raise UnavailableError(0, "NoAnswer", "connection refused")

    socket = create_server(("127.0.0.1", 0))
    port = socket.getsockname()[1]
    connect = lambda *_: contextlib.nullcontext(UnavailableServer())  # noqa: E731
    monkeypatch.setattr(module.Kube, "connect", connect)
    monkeypatch.setattr(module.Bucket, "open", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(module.BucketSettings, "from_env", lambda: None)
    monkeypatch.setattr(module, "listen", lambda _: [socket])

    task = asyncio.create_task(module.run(Settings("ns", owner_name="o", job_prefix="vn")))
    await asyncio.wait_for(requested.wait(), 30)
    url = f"http://127.0.0.1:{port}/healthz"
    async with aiohttp.ClientSession() as client, client.get(url) as response:
        assert response.status == 200
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
