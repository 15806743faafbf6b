"""Objects of two owners in all stores, and clients that act for one of them."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from api_fakes import Cluster, picture
from batches.batch_fixture import FOLDERS
from fakes.s3 import S3
from history.api_archive import Archive, job_body, uid_of
from starlette.types import ASGIApp, Receive, Scope, Send
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.jobs import Jobs
from vision_node_api.web.access import Access, using_access
from vision_node_api.web.access import Scope as AccessScope
from vision_node_contract.batch_objects import BatchFolder
from vision_node_contract.batch_uploads import UploadFolder
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.imagejob import ImageJob

PNG = picture()
ARCHIVED_AT = datetime(2026, 1, 2, tzinfo=UTC)

ANNA, BEN, OPS = "anna-5f0c", "ben-77d1", "ops-90ab"
"""Names of owners, which appear nowhere else. OPS is an administrator."""


def access_of(owner: str, *scopes: AccessScope) -> Access:
    """Return the access of a client of an owner; by default, it may submit and read."""
    return Access(owner, frozenset(scopes or ("submit", "read")), f"key of {owner}")


ADMIN = access_of(OPS, "admin")


class ActingAs:
    """The application as it answers one client.

    Args:
        app: The application.
        access: The client.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with using_access(self._access):
            await self._app(scope, receive, send)


@asynccontextmanager
async def client_as(app: ASGIApp, access: Access) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client that acts for an owner."""
    transport = httpx.ASGITransport(ActingAs(app, access))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


def _word(*parts: str) -> str:
    """Return 32 characters that are always the same for the same parts."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Owned:
    """The objects of an owner, by the names under which clients know them."""

    owner: str
    number: int
    """Number of the first of its objects, from which their uids are made."""
    seed: str = ""
    """Makes other names; empty for those of objects that exist."""

    @property
    def canary(self) -> str:
        """A word that appears in all texts of the owner, and nowhere else."""
        return f"canary{_word(self.owner, self.seed)[:12]}"

    def name(self, kind: str) -> str:
        """Return the name of a job or a batch."""
        return f"{'batch' if 'batch' in kind else 'job'}-{_word(self.owner, kind, self.seed)}"

    @property
    def done(self) -> str:
        return self.name("done")

    @property
    def failed(self) -> str:
        return self.name("failed")

    @property
    def queued(self) -> str:
        return self.name("queued")

    @property
    def unseen(self) -> str:
        """A job that the watch has not reported."""
        return self.name("unseen")

    @property
    def archived(self) -> str:
        """A job that is only in the history."""
        return self.name("archived")

    @property
    def batch(self) -> str:
        """A batch that is done."""
        return self.name("batch")

    @property
    def open(self) -> str:
        """A batch to which images can be uploaded."""
        return self.name("open batch")

    @property
    def old_batch(self) -> str:
        """A batch that is only in the history."""
        return self.name("old batch")

    @property
    def inbox(self) -> str:
        """Name of an image in the inbox."""
        return f"{self.canary}/photo.png"

    @property
    def job_ids(self) -> list[str]:
        """All ids of jobs, and of images of batches."""
        jobs = [self.done, self.failed, self.queued, self.unseen, self.archived]
        return [*jobs, f"{self.batch}.1", f"{self.old_batch}.1", f"{self.open}.0"]

    @property
    def batch_names(self) -> list[str]:
        return [self.batch, self.open, self.old_batch]

    @property
    def uids(self) -> list[str]:
        return [uid_of(self.number + it) for it in range(10)]

    @property
    def secrets(self) -> list[str]:
        """All texts that nobody else may get."""
        names = [*self.job_ids, *self.batch_names, *self.uids]
        return [it for it in (self.owner, self.canary, *names) if it]

    @property
    def unknown(self) -> "Owned":
        """Names of the same form and length, which no object has."""
        return replace(self, owner=self.owner[::-1], seed="unknown")

    def known_in(self, text: str) -> str:
        """Return a text in which names that no object has are replaced by those of the owner."""
        if self.seed:
            return text

        pairs = zip(self.unknown.names, self.names, strict=True)
        for unknown, name in pairs:
            text = text.replace(unknown, name)
        return text

    @property
    def names(self) -> list[str]:
        names = [*self.job_ids, *self.batch_names, self.canary, self.owner]
        return [it for it in names if it]


@dataclass
class World:
    """Where objects are: in etcd, in the bucket and in the history."""

    jobs: Jobs
    batches: Batches
    cluster: Cluster
    s3: S3
    archive: Archive | None = None
    """The history; None without a database."""
    owned: dict[str, Owned] = field(default_factory=dict)

    async def fill(self, owner: str, number: int) -> Owned:
        """Create the objects of an owner; empty for objects without one."""
        found = self.owned[owner] = Owned(owner, number)
        for place, (kind, phase) in enumerate(
            (("done", "done"), ("failed", "failed"), ("queued", "queued"), ("unseen", "done"))
        ):
            body = self._job(found, place, kind, phase)
            self.cluster.jobs[body["metadata"]["name"]] = ImageJob.model_validate(body)
            if kind != "unseen":
                self.jobs.cache.observe(WatchEvent("ADDED", [body]))

        if self.archive:
            await self.archive.add(self._job(found, 4, "archived", "done"))
            old = self._batch(found, 5, found.old_batch, finished=True)
            await self.archive.add_batch(old)
            captions: dict[str, str | None] = {
                f"{found.canary}-{it}.png": f"A cat, {found.canary}" for it in range(3)
            }
            await self.archive.add_images(old, captions, ARCHIVED_AT + timedelta(seconds=number))

        self._report(self._batch(found, 6, found.batch, finished=True))
        opened = self._batch(found, 7, found.open, finished=False)
        self._report(opened)
        folder = UploadFolder(FOLDERS, opened["metadata"]["uid"])
        self.s3.put(folder.image_key("first.png"), PNG)
        inbox = FOLDERS.inbox_of(owner) if owner else FOLDERS.inbox
        self.s3.put(inbox + found.inbox, PNG)
        return found

    def _report(self, body: dict[str, Any]) -> None:
        self.cluster.batches[body["metadata"]["name"]] = body
        self.batches.cache.observe(WatchEvent("ADDED", [body]))

    def _job(self, found: Owned, place: int, kind: str, phase: str) -> dict[str, Any]:
        number = found.number + place
        body = job_body(
            number,
            phase=phase,
            name=found.name(kind),
            caption=f"A cat, {found.canary}",
            file_name=f"{found.canary}.png",
            spec={"describer": "metadata", "options": {"prompt": f"Is {found.canary} in it?"}},
        )
        body["metadata"]["labels"] = _labels(found)
        self.s3.put(body["spec"]["image"]["key"], PNG)
        return body

    def _batch(self, found: Owned, place: int, name: str, *, finished: bool) -> dict[str, Any]:
        uid = uid_of(found.number + place)
        folder = BatchFolder(FOLDERS, uid)
        meta = {
            "name": name,
            "uid": uid,
            "resourceVersion": str(found.number + place),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": _labels(found),
        }
        spec = {"describer": "metadata", "upload": {"complete": finished}}
        spec["options"] = {"prompt": f"Is {found.canary} in it?"}
        if not finished:
            return {"metadata": meta, "spec": spec, "status": {}}

        self._store_results(folder, uid, found.canary)
        manifest = {"folder": folder.manifest(1), "images": 3, "sha256": "0" * 64}
        images = {"total": 3, "done": 2, "failed": 1}
        status = {
            "phase": "done",
            "manifest": manifest,
            "images": images,
            "results": {"index": 1},
            "completionTime": "2026-01-01T01:00:00Z",
        }
        return {"metadata": meta, "spec": spec, "status": status}

    def _store_results(self, folder: BatchFolder, uid: str, canary: str) -> None:
        """Store the results of three images, of which the last one has failed."""
        uploads = UploadFolder(FOLDERS, uid)
        lines, results = b"", b""
        for index in range(3):
            name = f"{canary}-{index}.png"
            key = uploads.image_key(name)
            self.s3.put(key, PNG)
            line: dict[str, Any] = {"index": index, "customId": name, "key": key}
            lines += json.dumps({**line, "size": len(PNG)}).encode() + b"\n"
            if index == 2:
                line["error"] = {"reason": "Unreadable", "message": f"{canary} is no image"}
            else:
                line["result"] = {"description": canary, "_generated_by": "vision-node-gpt"}
            results += json.dumps(line).encode() + b"\n"

        self.s3.put(f"{folder.manifest(1)}{0:09}", lines)
        key = folder.results(0, "shard", 1)
        self.s3.put(key, results)
        entry = {
            "shard": "shard",
            "ranges": "0-2",
            "done": 2,
            "failed": 1,
            "key": key,
            "sha256": hashlib.sha256(results).hexdigest(),
            "size_bytes": len(results),
        }
        self.s3.put(folder.index(0), json.dumps(entry).encode() + b"\n")


def _labels(found: Owned) -> dict[str, str]:
    owner = {"vision-node.dev/owner": found.owner} if found.owner else {}
    return {**owner, "team": found.canary}
