"""Create ImageBatches, watch them as users do, read their results, and delete them."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
from vision_node_contract.names import (
    BATCH_KIND,
    BATCH_LABEL,
    BATCH_PLURAL,
    GROUP,
    VERSION,
    path_of,
)

from bench.errors import BenchError
from bench.load import JOB_SECONDS, SLOWEST_PER_SECOND
from bench.measure.kube_api import KubeApi, until
from bench.plan import LIST_SECONDS, POLL_SECONDS
from bench.systems import IMAGEJOBS
from cluster.release import NAMESPACE

Json = dict[str, Any]

IMAGEBATCHES = path_of(BATCH_PLURAL, NAMESPACE)

DELETE_SECONDS = 300.0
"""Maximum seconds until a deleted ImageBatch and its shards are gone."""

FIRST_RESULT_SECONDS = 60.0
"""Maximum seconds until the first result of an ImageBatch."""

READ_SECONDS = 60.0
"""Maximum seconds to wait for more bytes of the results."""

NOT_YET = frozenset({404, 409, 425, 429, 503})
"""Status codes with which the API says that it has no results yet."""

MAX_LINE_BYTES = 4 << 20
"""Maximum size of a line of results. A description has at most a few hundred kilobytes."""


class Batches:
    """The ImageBatches of the benchmarks."""

    def __init__(self, kube: KubeApi, http: aiohttp.ClientSession) -> None:
        self._kube = kube
        self._http = http

    @asynccontextmanager
    async def created(self, **spec: Any) -> AsyncIterator[str]:
        """Create an ImageBatch, yield its name, and delete it after the block."""
        name = new_name()
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": BATCH_KIND,
            "metadata": {"name": name},
            "spec": spec,
        }
        await self._kube.create(IMAGEBATCHES, body)

        async with self.deleted_afterward(name):
            yield name

    @asynccontextmanager
    async def deleted_afterward(self, name: str) -> AsyncIterator[None]:
        """Delete an ImageBatch, if it exists, after the block."""
        try:
            yield
        finally:
            await self._kube.delete(f"{IMAGEBATCHES}/{name}")

        gone = partial(self._is_gone, name)
        await until(gone, f"ImageBatch {name} and its shards are deleted", DELETE_SECONDS)

    async def read(self, name: str) -> Json:
        """Return an ImageBatch."""
        return await self._kube.get(f"{IMAGEBATCHES}/{name}")

    async def until_complete(self, name: str, images: int) -> None:
        """Poll an ImageBatch until it has the condition Complete.

        Raises:
            BenchError: An image failed, or the ImageBatch ended in another way or not in time.
        """
        seconds = JOB_SECONDS + images / SLOWEST_PER_SECOND
        deadline = time.perf_counter() + seconds

        while not is_complete(batch := await self.read(name), images):
            if time.perf_counter() > deadline:
                raise BenchError(f"{summary(batch)}: not complete after {seconds:g} s")
            await asyncio.sleep(LIST_SECONDS)

    async def until_no_shards(self) -> None:
        """Wait until no shard is left, so that all writes for an ImageBatch have been made."""
        await until(self._has_no_shards, "all shards are counted and deleted", DELETE_SECONDS)

    async def until_first_result(self, name: str) -> None:
        """Request the results of an ImageBatch until there is one.

        Raises:
            BenchError: There is no result in time.
        """
        try:
            async with asyncio.timeout(FIRST_RESULT_SECONDS):
                while True:
                    if await self._has_result(name):
                        return
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise BenchError(
                f"{summary(await self.read(name))}: no result after {FIRST_RESULT_SECONDS:g} s"
            ) from error

    async def _has_result(self, name: str) -> bool:
        async with aclosing(self.results(name, no_results=NOT_YET)) as lines:
            async for _ in lines:
                return True

        return False

    async def results(
        self, name: str, no_results: frozenset[int] = frozenset()
    ) -> AsyncGenerator[bytes]:
        """Yield the lines of the results as they arrive, until the ImageBatch is finished.

        With a status code in `no_results`, the API says that there are none yet.

        Raises:
            BenchError: The API responds with an error, or stops responding.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_read=READ_SECONDS)
        call = self._http.get(
            f"/batches/{name}/results",
            params={"follow": "true"},
            timeout=timeout,
            read_bufsize=MAX_LINE_BYTES,
        )

        try:
            async with call as answer:
                if answer.status in no_results:
                    return
                if not answer.ok:
                    text = (await answer.text())[:500]
                    raise BenchError(f"results of ImageBatch {name}: {answer.status} {text}")

                async for line in answer.content:
                    # The API sends empty lines while there are no results.
                    if line.strip():
                        yield line
        except aiohttp.ClientError as error:
            raise BenchError(f"results of ImageBatch {name}: {error!r}") from error

    async def _is_gone(self, name: str) -> bool:
        if await self._kube.find(f"{IMAGEBATCHES}/{name}"):
            return False
        return await self._has_no_shards()

    async def _has_no_shards(self) -> bool:
        return not await self._kube.items(IMAGEJOBS, labelSelector=BATCH_LABEL, limit="1")


def new_name() -> str:
    """Return a new, unique name for an ImageBatch."""
    return f"bench-{uuid.uuid4().hex[:8]}"


def is_complete(batch: Json, images: int) -> bool:
    """Return whether an ImageBatch has described all of its images.

    Raises:
        BenchError: An image failed, the ImageBatch failed, or it has another number of images.
    """
    found = batch.get("status", {})
    conditions = {it["type"]: it for it in found.get("conditions", [])}
    counts = found.get("images", {})

    if counts.get("failed") or conditions.get("Failed", {}).get("status") == "True":
        raise BenchError(summary(batch))
    if conditions.get("Complete", {}).get("status") != "True":
        return False
    if counts.get("done") != images:
        raise BenchError(f"{summary(batch)}: expected {images} results")

    return True


def counted(batch: Json) -> int:
    """Return how many images of an ImageBatch have been counted."""
    counts = batch.get("status", {}).get("images", {})
    return int(counts.get("done", 0)) + int(counts.get("failed", 0))


def size_bytes(batch: Json) -> int:
    """Return the size of an ImageBatch in etcd, which stores it as JSON."""
    return len(json.dumps(batch, separators=(",", ":")))


def summary(batch: Json) -> str:
    """Return an ImageBatch's name, phase, counts, problems and first failures, for an error."""
    found = batch.get("status", {})
    problems = [
        f"{it['reason']}: {it['message']}"
        for it in found.get("conditions", [])
        if it["status"] == "True" and it["type"] in {"Waiting", "Failed"}
    ]
    failures = [f"{it['customId']}: {it['reason']}" for it in found.get("failures", [])[:3]]
    parts = [f"{found.get('phase', 'new')}, {found.get('images', {})}", *problems, *failures]
    return f"ImageBatch {batch['metadata']['name']}: {'; '.join(parts)}"
