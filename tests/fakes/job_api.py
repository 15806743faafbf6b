"""A fake Kubernetes API server that stores the ImageJobs of one namespace, and its ConfigMap."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from vision_node_contract.clients.kube import Kube
from vision_node_contract.json_types import Json

from .kube_server import WatchLog, connected, refusal
from .s3 import RELEASE_ID

NAMESPACE = "ns"

IDENTITY = "release-identity"


async def do_nothing(_: str) -> None:
    """Do nothing."""


def inline_result(word: str) -> Json:
    """Return a result that describes an image with a word."""
    text = f"Image Description: {word}."
    return {"description": text, "alt": word, "caption": word, "describer": "d", "seconds": 1.0}


class JobApi:
    """The stored ImageJobs, by name, and the faults that the server simulates."""

    def __init__(self) -> None:
        self.bodies: dict[str, Json] = {}
        self.version = 100
        self.deletes: list[str] = []
        """Names in DELETE requests that were carried out."""
        self.before_delete: Callable[[str], Awaitable[None]] = do_nothing
        """Function to call with the name before a DELETE request is handled."""
        self.after_delete: Callable[[str], Awaitable[None]] = do_nothing
        """Function to call with the name after a DELETE request was handled."""
        self.before_patch: Callable[[str], Awaitable[None]] = do_nothing
        """Function to call with the name before a PATCH request is handled."""
        self.before_create: Callable[[str], Awaitable[None]] = do_nothing
        """Function to call with the name before a POST request is handled."""
        self.patches: list[Json] = []
        """Bodies of all PATCH requests that were carried out."""
        self.batches: dict[str, Json] = {}
        """ImageBatches by name, which can only be read."""
        self.loses_answers = 0
        """Number of DELETE, PATCH and POST requests to carry out, and answer with 504."""
        self.refuses: dict[str, tuple[int, str]] = {}
        """Status and message with which DELETE and PATCH requests are refused, by name."""
        self.refuses_new: tuple[int, str] | None = None
        """Status and message with which POST requests are refused."""
        self.refused: list[str] = []
        """Names in DELETE requests that were refused for this reason."""
        self.identity_uid = "release-uid"
        self.annotations: dict[str, str] = {}
        """Annotations of the identity ConfigMap."""
        self.gets: list[str] = []
        """Names in GET requests."""
        self.watches = WatchLog()

    @property
    def is_watched(self) -> bool:
        """Whether a client watches the ImageJobs."""
        return self.watches.is_watched

    def create(self, name: str, uid: str = "", **parts: Any) -> str:
        """Store an ImageJob, and return its uid. `parts` are labels, spec and status."""
        meta = {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid or str(uuid.uuid4()),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": parts.get("labels", {}),
        }
        spec = {"image": {"key": f"images/{RELEASE_ID}/{name}"}, **parts.get("spec", {})}
        body = {"metadata": meta, "spec": spec, "status": parts.get("status", {"phase": "queued"})}
        self._store("ADDED", body)
        return str(meta["uid"])

    def put(self, body: Json) -> None:
        """Store an ImageJob as it is, with a new resourceVersion."""
        self._store("ADDED", json.loads(json.dumps(body)))

    def finish(self, name: str, ended: datetime | None = None, **result: Any) -> None:
        """End an ImageJob. `result` are fields of status.result."""
        end = (ended or datetime.now(UTC)).isoformat()
        stored = {"describer": "d", "summary": "s", **result}
        if "key" not in result:
            stored.setdefault("inline", inline_result(name))
        status = {"phase": "done", "attempts": 1, "completionTime": end, "result": stored}
        self.change(name, status=status)

    def change(self, name: str, *, status: Json | None = None, **spec: Any) -> None:
        """Change fields of the spec, and of the status."""
        body = json.loads(json.dumps(self.bodies[name]))
        body["spec"].update(spec)
        body["status"].update(status or {})
        self._store("MODIFIED", body)

    def delete(self, name: str, *, is_told: bool = True) -> None:
        """Delete an ImageJob; watches miss that unless `is_told`."""
        body = json.loads(json.dumps(self.bodies.pop(name)))
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        if is_told:
            self.watches.tell({"type": "DELETED", "object": body})

    def restore(self, bodies: dict[str, Json], version: int) -> None:
        """Go back to an older state, as if etcd was restored from a backup."""
        self.bodies, self.version = dict(bodies), version
        self.watches.forget()
        self.break_watches()

    def break_watches(self) -> None:
        """End all watches, and make clients list everything again."""
        self.watches.first_version = self.version
        self.watches.break_off()

    def end_watches(self) -> None:
        """End all watches, so that the server can stop."""
        self.watches.end()

    def add_routes(self, app: web.Application) -> None:
        """Add the paths of the namespace to `app`."""
        root = f"/apis/vision-node.dev/v1alpha1/namespaces/{NAMESPACE}"
        app.router.add_get(f"{root}/imagejobs", self._list)
        app.router.add_get(f"{root}/imagebatches", self._list_batches)
        app.router.add_get(f"{root}/imagebatches/{{name}}", self._get_batch)
        app.router.add_post(f"{root}/imagejobs", self._create)
        app.router.add_patch(f"{root}/imagejobs/{{name}}", self._patch)
        app.router.add_get(f"{root}/imagejobs/{{name}}", self._get)
        app.router.add_delete(f"{root}/imagejobs/{{name}}", self._delete)
        app.router.add_get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/{{name}}", self._configmap)

    def _store(self, kind: str, body: Json) -> None:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.bodies[body["metadata"]["name"]] = body
        self.watches.tell({"type": kind, "object": body})

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self.watches.follow(request, self.version)

        first, limit = int(request.query.get("continue") or 0), int(request.query["limit"])
        bodies = list(self.bodies.values())
        rest = str(first + limit) if first + limit < len(bodies) else ""
        metadata = {"resourceVersion": str(self.version), "continue": rest}
        return web.json_response({"metadata": metadata, "items": bodies[first : first + limit]})

    async def _list_batches(self, request: web.Request) -> web.StreamResponse:
        metadata = {"resourceVersion": str(self.version)}
        return web.json_response({"metadata": metadata, "items": []})

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.gets.append(name)
        body = self.bodies.get(name)
        return web.json_response(body) if body else refusal(404)

    async def _get_batch(self, request: web.Request) -> web.Response:
        body = self.batches.get(request.match_info["name"])
        return web.json_response(body) if body else refusal(404)

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = body["metadata"]["name"]
        await self.before_create(name)
        if self.refuses_new:
            return refusal(*self.refuses_new)
        if name in self.bodies:
            return refusal(409, reason="AlreadyExists")

        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        own = {"uid": str(uuid.uuid4()), "creationTimestamp": created, "namespace": NAMESPACE}
        metadata = {**body["metadata"], **own}
        self._store("ADDED", {**body, "metadata": metadata, "status": {"phase": "queued"}})
        return self._answer(self.bodies[name], 201)

    async def _patch(self, request: web.Request) -> web.Response:
        """Change the spec by a merge patch."""
        name, patch = request.match_info["name"], await request.json()
        await self.before_patch(name)
        if refused := self._refused(name, patch["metadata"]):
            return refused

        self.patches.append(patch)
        self.change(name, **patch["spec"])
        return self._answer(self.bodies[name])

    def _refused(self, name: str, wanted: Json) -> web.Response | None:
        """Return why a write is refused; `wanted` is the metadata that the ImageJob must have."""
        if name in self.refuses:
            self.refused.append(name)
            return refusal(*self.refuses[name])

        body = self.bodies.get(name)
        if body is None:
            return refusal(404)

        is_same = all(body["metadata"][key] == it for key, it in wanted.items())
        return None if is_same else refusal(409)

    def _answer(self, body: Json, status: int = 200) -> web.Response:
        """Return the response to a request that was carried out, or 504 if it is to be lost."""
        if self.loses_answers:
            self.loses_answers -= 1
            return refusal(504)

        return web.json_response(body, status=status)

    async def _delete(self, request: web.Request) -> web.Response:
        name, options = request.match_info["name"], await request.json()
        await self.before_delete(name)
        if refused := self._refused(name, options["preconditions"]):
            return refused

        self.delete(name)
        self.deletes.append(name)
        await self.after_delete(name)
        return self._answer({"kind": "Status", "status": "Success"})

    async def _configmap(self, request: web.Request) -> web.Response:
        meta = {"name": request.match_info["name"], "uid": self.identity_uid}
        return web.json_response(
            {"metadata": {**meta, "annotations": self.annotations}, "data": {"id": RELEASE_ID}}
        )


@asynccontextmanager
async def serving_jobs() -> AsyncIterator[tuple[JobApi, Kube]]:
    """Serve an empty namespace on a loopback socket; yield it and a client for it."""
    api = JobApi()
    async with connected(api) as kube:
        yield api, kube
