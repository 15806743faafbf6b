"""A fake Kubernetes API server with one Describer and as many ImageJobs as a test needs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from vision_node_contract.json_types import Json

from .kube_server import serving

VERSION = "1000000"
"""The resourceVersion of every list and of every created object."""

ImageJobText = Callable[[int], str]
"""Function that takes a number from 0 and returns the JSON text of an ImageJob."""


class KubeApi:
    """Serves ImageJobs that are generated page by page, so that they take no memory here.

    Args:
        count: Number of ImageJobs in the list.
        text: Function that returns the JSON text of each ImageJob.
    """

    def __init__(self, count: int, text: ImageJobText) -> None:
        self._count = count
        self._text = text
        self._ended = asyncio.Event()

    def add_routes(self, app: web.Application) -> None:
        """Add the paths of a namespace's ImageJobs and Describers to `app`."""
        root = "/apis/vision-node.dev/v1alpha1/namespaces/{namespace}"
        app.router.add_get(f"{root}/imagejobs", self._get_imagejobs)
        app.router.add_post(f"{root}/imagejobs", self._create)
        app.router.add_get(f"{root}/describers", self._get_describers)

    def end_watches(self) -> None:
        """End all watches, so that the server can stop."""
        self._ended.set()

    async def _get_imagejobs(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)

        first = int(request.query.get("continue", "0"))
        end = min(first + int(request.query["limit"]), self._count)
        return _list_response(map(self._text, range(first, end)), end if end < self._count else "")

    async def _get_describers(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)

        describer = {"metadata": {"name": "metadata", "resourceVersion": VERSION}}
        return _list_response([json.dumps(describer)])

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        """Send no events until `end_watches` is called or the client disconnects."""
        response = web.StreamResponse()
        await response.prepare(request)
        await self._ended.wait()
        return response

    async def _create(self, request: web.Request) -> web.Response:
        body: Json = await request.json()
        metadata = {"uid": body["metadata"]["name"], "resourceVersion": VERSION}
        created = {**body, "metadata": {**body["metadata"], **metadata}}
        return web.json_response({**created, "status": {"phase": "queued"}}, status=201)


def _list_response(texts: "map[str] | list[str]", proceed: int | str = "") -> web.Response:
    metadata = json.dumps({"resourceVersion": VERSION, "continue": str(proceed)})
    text = f'{{"metadata":{metadata},"items":[{",".join(texts)}]}}'
    return web.Response(text=text, content_type="application/json")


@asynccontextmanager
async def serving_kube(count: int, text: ImageJobText) -> AsyncIterator[str]:
    """Serve `count` ImageJobs on a loopback socket, and yield the URL."""
    async with serving(KubeApi(count, text)) as url:
        yield url
