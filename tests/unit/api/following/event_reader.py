"""Read streams of events from a socket, and report changes as watches do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from http_requests import get
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.following.following import Following
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import WatchEvent

SECONDS = 20.0


@dataclass(frozen=True)
class Event:
    """An event of a stream."""

    name: str
    id: str | None
    data: Any

    @property
    def text(self) -> str:
        """What happened, as a line of text."""
        match self.name:
            case "job":
                return f"{self.data['job_id']} {self.data['status']}"
            case "batch":
                return f"{self.data['name']} {self.data['status']}"
            case "deleted":
                return f"deleted {self.data.get('job_id') or self.data.get('batch')}"
            case _:
                return f"{self.name} {self.data['reason']}"


class Stream:
    """A response with events, of which blocks are read one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._text = ""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.last_id: str | None = None

    async def start(self, request: bytes) -> None:
        self._writer.write(request)
        head = (await self._timed(self._reader.readuntil(b"\r\n\r\n"))).decode()
        status, *lines = head.strip().split("\r\n")
        self.status = int(status.split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines)

    async def body(self) -> Any:
        """Return the JSON of a response that is no stream."""
        length = int(self.headers["content-length"])
        return json.loads(await self._timed(self._reader.readexactly(length)))

    async def block(self) -> str | None:
        """Return the next block of lines; None at the end of the response."""
        while "\n\n" not in self._text:
            size = int(await self._timed(self._reader.readline()), 16)
            chunk = await self._timed(self._reader.readexactly(size + 2))
            if not size:
                return None
            self._text += chunk[:-2].decode()

        block, _, self._text = self._text.partition("\n\n")
        return block

    async def event(self) -> Event | None:
        """Return the next event; None at the end of the response."""
        while (block := await self.block()) is not None:
            pairs = [line.split(": ", 1) for line in block.split("\n") if line[:1] != ":"]
            fields = dict(pairs)
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                return Event(fields["event"], fields.get("id"), json.loads(fields["data"]))

        return None

    async def texts(self, count: int) -> list[str]:
        """Return the texts of the next events."""
        found = [await self.event() for _ in range(count)]
        return [it.text if it else "end" for it in found]

    async def rest(self) -> list[str]:
        """Return the texts of all events until the end."""
        texts = []
        while event := await self.event():
            texts.append(event.text)
        return texts

    async def _timed(self, reading: Any) -> Any:
        return await asyncio.wait_for(reading, SECONDS)


@asynccontextmanager
async def stream(
    port: int, path: str, *headers: bytes, method: str = "GET"
) -> AsyncIterator[Stream]:
    """Request a stream of events over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = Stream(reader, writer)
    try:
        await found.start(get(path, *headers, method=method))
        yield found
    finally:
        writer.close()


def last(event_id: str | int | None) -> bytes:
    """Return the header with the id of the last event."""
    return f"Last-Event-ID: {event_id}".encode()


def job_body(name: str, version: int, phase: str = "queued", **labels: str) -> dict[str, Any]:
    """Return an ImageJob."""
    meta = {"name": name, "uid": f"u-{name}", "resourceVersion": str(version), "labels": labels}
    spec = {"image": {"key": "k"}, "describer": "metadata"}
    return {"metadata": meta, "spec": spec, "status": {"phase": phase}}


def batch_body(name: str, version: int, phase: str = "queued") -> dict[str, Any]:
    """Return an ImageBatch."""
    meta = {"name": name, "uid": f"u-{name}", "resourceVersion": str(version)}
    return {"metadata": meta, "spec": {"prefix": "inbox/x/"}, "status": {"phase": phase}}


class Feed:
    """Reports changes as the two watches do."""

    def __init__(self, app: FastAPI, jobs: Jobs, batches: Batches) -> None:
        self.following: Following = app.state.following
        self._jobs = jobs
        self._batches = batches

    def job(self, name: str, version: int, phase: str = "queued", **labels: str) -> None:
        body = job_body(name, version, phase, **labels)
        self._jobs.cache.observe(WatchEvent("MODIFIED", [body]))

    def batch(self, name: str, version: int, phase: str = "queued") -> None:
        self._batches.cache.observe(WatchEvent("MODIFIED", [batch_body(name, version, phase)]))

    def batch_of_images(self, name: str, version: int, phase: str) -> None:
        """Report a batch whose images have been listed."""
        body = batch_body(name, version, phase)
        manifest = {"folder": "m/", "sha256": "0" * 64, "images": 5}
        body["status"]["manifest"] = manifest
        self._batches.cache.observe(WatchEvent("MODIFIED", [body]))

    def delete_job(self, name: str, version: int) -> None:
        self._jobs.cache.observe(WatchEvent("DELETED", [job_body(name, version)]))

    def delete_batch(self, name: str, version: int) -> None:
        self._batches.cache.observe(WatchEvent("DELETED", [batch_body(name, version)]))

    def list_jobs(self, version: int, *bodies: dict[str, Any]) -> None:
        self._list(self._jobs.cache.observe, version, bodies)

    def list_batches(self, version: int, *bodies: dict[str, Any]) -> None:
        self._list(self._batches.cache.observe, version, bodies)

    def _list(self, observe: Any, version: int, bodies: tuple[dict[str, Any], ...]) -> None:
        names = frozenset(it["metadata"]["name"] for it in bodies)
        observe(WatchEvent("PAGE", list(bodies)))
        observe(WatchEvent("SYNCED", names=names, version=str(version)))

    @property
    def followers(self) -> int:
        """Number of followers at present."""
        return self.following.followers.count
