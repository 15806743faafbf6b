"""A fake Kubernetes API server that stores the ImageBatches of one namespace, and their Events."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from vision_node_contract.clients.kube import Kube
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagebatch import ImageBatch

from .kube_server import connected, refusal
from .s3 import RELEASE_ID

NAMESPACE = "ns"

IDENTITY = "release-identity"


async def do_nothing(_: str) -> None:
    """Do nothing."""


class BatchApi:
    """The stored ImageBatches, by name, and the faults that the server simulates."""

    def __init__(self) -> None:
        self.bodies: dict[str, Json] = {}
        self.events: list[Json] = []
        self.patches: list[Json] = []
        """Bodies of all PATCH requests that were carried out."""
        self.version = 100
        self.refusals: list[int] = []
        """HTTP statuses with which the next PATCH and DELETE requests are refused."""
        self.create_refusals: list[tuple[int, str]] = []
        """HTTP statuses and messages with which the next POST requests are refused."""
        self.loses_created = 0
        """Number of POST requests to carry out, and answer with 504."""
        self.loses_answers = 0
        """Number of PATCH and DELETE requests to carry out, and answer with 504."""
        self.before_patch: Callable[[str], Awaitable[None]] = do_nothing
        """Function to call with the name before a PATCH request is handled."""
        self.before_get: Callable[[str], Awaitable[None]] = do_nothing
        """Function to call with the name before a GET request for an ImageBatch is handled."""
        self.before_delete: Callable[[str], Awaitable[None]] = do_nothing
        """Function to call with the name before a DELETE request for an ImageBatch is handled."""
        self.created = 0
        """Number of POST requests that were carried out."""
        self.deletions: list[Json] = []
        """Bodies of all DELETE requests that were carried out."""
        self._watchers: set[asyncio.Queue[Json | None]] = set()

    def create(self, name: str, uid: str = "", **spec: Any) -> Json:
        """Store a queued ImageBatch; its uid is `u-<name>` by default."""
        meta = {"name": name, "namespace": NAMESPACE, "uid": uid or f"u-{name}", "generation": 1}
        body = {"metadata": meta, "spec": spec, "status": {"phase": "queued"}}
        return self._store("ADDED", body)

    def change(self, name: str, *, status: Json | None = None, **spec: Any) -> Json:
        """Change fields of the spec, and of the status."""
        body = json.loads(json.dumps(self.bodies[name]))
        body["spec"].update(spec)
        body["status"].update(status or {})
        return self._store("MODIFIED", body)

    def delete(self, name: str) -> None:
        """Delete an ImageBatch."""
        body = self.bodies.pop(name)
        self._tell({"type": "DELETED", "object": body})

    def batch(self, name: str) -> ImageBatch:
        """Return an ImageBatch as it is now."""
        return ImageBatch.model_validate(self.bodies[name])

    def condition(self, name: str, kind: str) -> tuple[str, str, str]:
        """Return the status, the reason and the message of a condition; empty if it has none."""
        found = self.batch(name).status.condition(kind)
        return (found.status, found.reason, found.message) if found else ("", "", "")

    def end_watches(self) -> None:
        """End all watches, so that the server can stop."""
        for watcher in self._watchers:
            watcher.put_nowait(None)

    def add_routes(self, app: web.Application) -> None:
        """Add the paths of the namespace to `app`."""
        root = "/apis/vision-node.dev/v1alpha1/namespaces/{namespace}/imagebatches"
        app.router.add_get(root, self._list)
        app.router.add_post(root, self._create)
        app.router.add_get(f"{root}/{{name}}", self._get)
        app.router.add_delete(f"{root}/{{name}}", self._delete)
        app.router.add_patch(f"{root}/{{name}}", self._patch_spec)
        app.router.add_patch(f"{root}/{{name}}/status", self._patch)
        app.router.add_post(f"/api/v1/namespaces/{NAMESPACE}/events", self._create_event)
        app.router.add_get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/{{name}}", self._configmap)

    def _store(self, kind: str, body: Json) -> Json:
        self.version += 1
        body = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        self.bodies[body["metadata"]["name"]] = body
        self._tell({"type": kind, "object": body})
        return body

    def _tell(self, event: Json) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(event)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)

        metadata = {"resourceVersion": str(self.version)}
        return web.json_response({"metadata": metadata, "items": list(self.bodies.values())})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        watcher: asyncio.Queue[Json | None] = asyncio.Queue()
        for body in self.bodies.values():  # those that are newer than the client's list
            if int(body["metadata"]["resourceVersion"]) > int(request.query["resourceVersion"]):
                watcher.put_nowait({"type": "ADDED", "object": body})
        self._watchers.add(watcher)

        response = web.StreamResponse()
        await response.prepare(request)
        while event := await watcher.get():
            await response.write(json.dumps(event).encode() + b"\n")

        return response

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        await self.before_get(name)
        body = self.bodies.get(name)
        return web.json_response(body) if body else refusal(404)

    def _refused(self, name: str, wanted: Json) -> web.Response | None:
        """Return why a write is refused; `wanted` is the metadata that the ImageBatch must have."""
        if self.refusals:
            return refusal(self.refusals.pop(0))

        body = self.bodies.get(name)
        if body is None:
            return refusal(404)

        is_same = all(body["metadata"][key] == it for key, it in wanted.items())
        return None if is_same else refusal(409)

    async def _delete(self, request: web.Request) -> web.Response:
        name, options = request.match_info["name"], await request.json()
        await self.before_delete(name)
        if refused := self._refused(name, options["preconditions"]):
            return refused

        self.deletions.append(options)
        self.delete(name)
        if self.loses_answers:
            self.loses_answers -= 1
            return refusal(504)

        return web.json_response({"kind": "Status", "status": "Success"})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.create_refusals:
            return refusal(*self.create_refusals.pop(0))

        name = body["metadata"]["name"]
        if name in self.bodies:
            return refusal(409, reason="AlreadyExists")

        self.created += 1
        created = datetime.now(UTC).isoformat()
        own = {"uid": f"u{self.created}-{name}", "generation": 1, "creationTimestamp": created}
        metadata = {**body["metadata"], **own}
        stored = self._store("ADDED", {**body, "metadata": metadata, "status": {"phase": "queued"}})
        if self.loses_created:
            self.loses_created -= 1
            return refusal(504)

        return web.json_response(stored, status=201)

    async def _patch_spec(self, request: web.Request) -> web.Response:
        """Change the spec by a merge patch, and keep the CRD's rule for complete uploads."""
        name, patch = request.match_info["name"], await request.json()
        await self.before_patch(name)
        if refused := self._refused(name, patch["metadata"]):
            return refused

        body = self.bodies[name]
        known = body["spec"].get("upload") or {}
        upload = {**known, **patch["spec"].get("upload", {})}
        if known.get("complete") and upload != known:
            return refusal(422, "a complete upload can't be changed")

        self.patches.append(patch)
        spec = {**body["spec"], **patch["spec"], **({"upload": upload} if upload else {})}
        stored = self._store("MODIFIED", {**body, "spec": spec})
        if self.loses_answers:
            self.loses_answers -= 1
            return refusal(504)

        return web.json_response(stored)

    async def _patch(self, request: web.Request) -> web.Response:
        name, patch = request.match_info["name"], await request.json()
        await self.before_patch(name)
        wanted = {it: patch["metadata"][it] for it in ("resourceVersion", "uid")}
        if refused := self._refused(name, wanted):
            return refused

        body = self.bodies[name]
        self.patches.append(patch)
        status = {**body["status"], **patch["status"]}
        stored = self._store("MODIFIED", {**body, "status": status})
        if self.loses_answers:
            self.loses_answers -= 1
            return refusal(504)

        return web.json_response(stored)

    async def _create_event(self, request: web.Request) -> web.Response:
        event = await request.json()
        if event["metadata"]["name"] in {it["metadata"]["name"] for it in self.events}:
            return refusal(409)

        self.events.append(event)
        return web.json_response(event, status=201)

    async def _configmap(self, request: web.Request) -> web.Response:
        meta = {"name": request.match_info["name"], "uid": "release-uid"}
        return web.json_response({"metadata": meta, "data": {"id": RELEASE_ID}})


@asynccontextmanager
async def serving_batches() -> AsyncIterator[tuple[BatchApi, Kube]]:
    """Serve an empty namespace on a loopback socket; yield it and a client for it."""
    api = BatchApi()
    async with connected(api) as kube:
        yield api, kube
