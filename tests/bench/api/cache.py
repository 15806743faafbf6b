"""Measure the CPU time of the API's cache of ImageJobs: for each image, and for each poll.

Run this module with `python -m bench.api.cache`. An image causes three watch events in each
replica. Polls of cached jobs are answered by StatusCacheMiddleware, without a socket here.
"""

import asyncio
import json
import time
from typing import Any, cast

from starlette.applications import Starlette
from starlette.types import Message, Scope
from vision_node_api.middleware.status_cache import StatusCacheMiddleware
from vision_node_api.routes.jobs import cached_status
from vision_node_api.services.jobs import Jobs
from vision_node_api.settings import Settings
from vision_node_api.watch.describer_cache import DescriberCache
from vision_node_api.watch.imagejob_cache import ImageJobCache
from vision_node_contract.clients.kube import WatchEvent

from bench.api.imagejobs import DONE, PROCESSING, UNFINISHED, numbered, template
from bench.report.tables import digits, table

IMAGES = 3000
"""Number of images per measurement. They all fit into the cache."""

POLLS = 5000
REPEATS = 5
"""Number of measurements. Only the fastest counts, because other programs may delay one."""

PHASES = (UNFINISHED, PROCESSING, DONE)


def event_seconds() -> float:
    """Return the CPU time of the cache for the three watch events of an image."""
    return min(_event_seconds() for _ in range(REPEATS))


def _event_seconds() -> float:
    cache = ImageJobCache(cast("Any", None))
    texts = [template(phase) for phase in PHASES]
    spent = 0.0

    for number in range(IMAGES):
        for text in texts:
            event = WatchEvent("MODIFIED", [json.loads(numbered(text, number))])
            start = time.process_time()
            cache.observe(event)
            spent += time.process_time() - start

    return spent / IMAGES


def poll_seconds(phase: str) -> float:
    """Return the CPU time of a poll of a cached job in this phase."""
    cache = ImageJobCache(cast("Any", None))
    cache.observe(WatchEvent("ADDED", [json.loads(numbered(template(phase), 1))]))
    app = Starlette()
    none = cast("Any", None)
    app.state.jobs = Jobs(none, cache, DescriberCache(none, "ns"), none, Settings("ns"))
    name = numbered(json.loads(template(phase))["metadata"]["name"], 1)

    return min(asyncio.run(_poll_seconds(app, name)) for _ in range(REPEATS))


async def _poll_seconds(app: Starlette, name: str) -> float:
    middleware = StatusCacheMiddleware(app, cached_status)
    path = f"/status/{name}"
    scope: Scope = {
        "type": "http",
        "headers": [],
        "method": "GET",
        "path": path,
        "query_string": b"",
        "root_path": "",
        "app": app,
    }
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    start = time.process_time()
    for _ in range(POLLS):
        await middleware(scope, cast("Any", None), send)
    spent = time.process_time() - start

    if statuses != [200] * POLLS:
        raise RuntimeError(f"polls of {path} were answered with {sorted(set(statuses))}")
    return spent / POLLS


def report() -> str:
    """Measure, and return a table of the results."""
    rows = [["three watch events of an image", digits(event_seconds() * 1e6)]]
    rows += [[f"poll, {phase}", digits(poll_seconds(phase) * 1e6)] for phase in PHASES]
    return table(["", "µs"], rows)


if __name__ == "__main__":
    print(report())
