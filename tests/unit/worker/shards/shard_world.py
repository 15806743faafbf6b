"""A worker with a shard, a bucket in memory, and a describer that does what each image says."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vision_node_contract.batch_objects import BatchFolder, chunk_key
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.bucket import (
    ObjectChangedError,
    ObjectNotFoundError,
    StoreUnavailableError,
)
from vision_node_contract.clients.bucket_objects import ObjectPage, StoredObject
from vision_node_contract.clients.kube import ConflictError, KubeError, NotFoundError
from vision_node_contract.models.description import Description, Options, Usage
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_contract.models.shard import Shard
from vision_node_describer.describe_slots import DescribeSlots
from vision_node_describer.describers import Describer, Remote, Setup
from vision_node_describer.image_describer import ImageDescriber
from vision_node_describer.settings import Settings
from vision_node_describer.shards.runner import ShardRunner
from vision_node_describer.termination_message import TerminationMessage

UID = "0a0a0a0a-0000-4000-8000-000000000001"
BATCH_UID = "0b0b0b0b-0000-4000-8000-000000000002"
FOLDERS = BucketFolders("aaaabbbbcccc")
FOLDER = BatchFolder(FOLDERS, BATCH_UID)
RESULTS = FOLDER.results(0, UID, 1)

SETTINGS = Settings(
    "ns",
    "w0",
    "uid",
    "fake",
    "fake",
    concurrency=2,
    max_image_bytes=1000,
    memory_limit_bytes=1 << 30,
)


class MemoryBucket:
    """A bucket in memory. A key in `errors` raises its error, as often as the list is long."""

    def __init__(self) -> None:
        self.folders = FOLDERS
        self.objects: dict[str, bytes] = {}
        self.errors: dict[str, list[Exception]] = {}
        self.gets: list[str] = []

    async def get(self, key: str, max_bytes: int, etag: str | None = None) -> bytes:
        self.gets.append(key)
        await asyncio.sleep(0)
        self._fail(key)
        if key not in self.objects:
            raise ObjectNotFoundError(key)
        if etag not in {None, etag_of(self.objects[key])}:
            raise ObjectChangedError(key)
        return self.objects[key][: max_bytes + 1]

    async def get_part(self, key: str, first: int, size: int, etag: str) -> bytes:
        whole = await self.get(key, 1 << 30, etag or None)
        return whole[first : first + size]

    async def put(self, key: str, data: bytes, media_type: str, sha256: str | None = None) -> None:
        self._fail(key)
        assert sha256 in {None, hashlib.sha256(data).hexdigest()}
        self.objects[key] = data

    async def list_page(self, prefix: str, after: str, max_objects: int) -> ObjectPage:
        self._fail(prefix)
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        now = datetime.now(UTC)
        page = [StoredObject(key, 1, now) for key in keys[:2]]
        return ObjectPage(page, is_last=len(keys) <= 2)

    def _fail(self, key: str) -> None:
        for prefix, errors in self.errors.items():
            if key.startswith(prefix) and errors:
                raise errors.pop(0)


def key_of(index: int) -> str:
    return f"{FOLDERS.inbox}{index}"


def etag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'  # noqa: S324 (as S3 computes it)


class Api:
    """A Kubernetes API with one shard. Each patch raises the next item of `answers`, if any."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.answers: list[KubeError | None] = []
        self.patches: list[dict[str, Any]] = []
        self.committed = asyncio.Event()

    async def patch_status(self, shard: Shard, patch: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self.answers and (error := self.answers.pop(0)):
            raise error
        if shard.metadata.resource_version != self.body["metadata"]["resourceVersion"]:
            raise ConflictError(409, "Conflict", "changed")
        self.patches.append(patch)
        self.body["status"] |= patch
        self.committed.set()
        return self.body

    async def get_shard(self, name: str) -> Shard:
        if name != self.body["metadata"]["name"]:
            raise NotFoundError(404, "NotFound", name)
        return Shard.model_validate(self.body)

    async def get(self, name: str) -> Any:
        raise NotFoundError(404, "NotFound", name)


Step = Callable[[], None]


class Blocking(Describer):
    """Describes each image with its own bytes as the text, or does what `steps` says instead."""

    def __init__(self) -> None:
        super().__init__(Setup())
        self.described: list[str] = []
        self.steps: dict[str, list[Step | Exception]] = {}
        self.lock = threading.Lock()

    def describe(self, image: bytes, options: Options) -> Description:
        text = image.decode()
        with self.lock:
            self.described.append(text)
            steps = self.steps.get(text)
            step = steps.pop(0) if steps else None

        if isinstance(step, Exception):
            raise step
        if step:
            step()
        return description(text, options)


class Asking(Remote[str]):
    """Asks a provider, which answers when `answers` is set."""

    def __init__(self) -> None:
        super().__init__(Setup())
        self.asked: list[str] = []
        self.steps: dict[str, list[Exception]] = {}
        self.answers = asyncio.Event()
        self.answers.set()

    def prepare(self, image: bytes, options: Options) -> str:
        return image.decode()

    async def ask(self, prepared: str, options: Options) -> Description:
        self.asked.append(prepared)
        steps = self.steps.get(prepared)
        if steps:
            raise steps.pop(0)

        await self.answers.wait()
        return description(prepared, options)


def description(text: str, options: Options) -> Description:
    usage = Usage(input_tokens=10, output_tokens=1)
    prompt = options.prompt or ""
    return Description(description=text, alt="alt", caption=prompt, usage=usage)


class World:
    """A worker with a shard of `count` images from index `first` on."""

    def __init__(
        self,
        describer: Any = None,
        *,
        count: int = 4,
        first: int = 0,
        settings: Settings = SETTINGS,
        message: Path | None = None,
        **images: Any,
    ) -> None:
        self.bucket = MemoryBucket()
        self.describer = describer or Blocking()
        self.settings = settings
        manifest = FOLDER.manifest(1)
        self.body: dict[str, Any] = {
            "metadata": {"name": "b-0", "uid": UID, "resourceVersion": "7"},
            "spec": {
                "images": {
                    "batch": "b",
                    "batchUID": BATCH_UID,
                    "manifest": manifest,
                    "first": first,
                    "count": count,
                    **images,
                }
            },
            "status": {"phase": "processing", "worker": "w0", "attempts": 1},
        }
        self.lines = [self._line(index) for index in range(first + count)]
        for index in range(first + count):
            self.bucket.objects[key_of(index)] = str(index).encode()

        self.api = Api(self.body)
        self.executor = ThreadPoolExecutor(settings.concurrency)
        self.background = ThreadPoolExecutor(settings.concurrency)
        self.slots = DescribeSlots(settings.concurrency)
        self.images = ImageDescriber(
            self.bucket,  # type: ignore[arg-type]
            self.describer,
            self.executor,
            settings,
            None,
            self.background,
        )
        if message:
            self.images.termination_message = TerminationMessage(message)
        self.runner = self.new_runner()

    def _line(self, index: int) -> dict[str, Any]:
        data = str(index).encode()
        key, etag = key_of(index), etag_of(data)
        return {"index": index, "customId": f"c{index}", "key": key, "etag": etag, "size": 3}

    def new_runner(self) -> ShardRunner:
        return ShardRunner(self.api, self.bucket, self.images, self.slots)  # type: ignore[arg-type]

    def assign(self) -> None:
        """Write the manifest and report the assignment to the worker."""
        self.write_manifest()
        self.runner.handle(self.body)

    def write_manifest(self) -> None:
        """Write the manifest's lines to the bucket."""
        folder = self.body["spec"]["images"]["manifest"]
        for start in range(0, len(self.lines), 1000):
            lines = self.lines[start : start + 1000]
            text = b"".join(
                (it if isinstance(it, bytes) else json.dumps(it).encode()) + b"\n" for it in lines
            )
            self.bucket.objects.setdefault(chunk_key(folder, start), text)

    async def run(self) -> dict[str, Any]:
        """Run the shard until it is committed, and return the outcome."""
        self.assign()
        await asyncio.wait_for(self.runner.idle.wait(), 30)
        return self.outcome

    @property
    def outcome(self) -> dict[str, Any]:
        (patch,) = self.api.patches
        return patch["images"]  # type: ignore[no-any-return]

    @property
    def results(self) -> dict[int, str]:
        """The texts of descriptions, or the reasons of errors, by index."""
        lines = [json.loads(it) for it in self.bucket.objects[RESULTS].splitlines()]
        assert [it["customId"] for it in lines] == [f"c{it['index']}" for it in lines]
        return {
            it["index"]: it["error"]["reason"] if "error" in it else it["result"]["description"]
            for it in lines
        }


def settings(**changes: Any) -> Settings:
    return replace(SETTINGS, **changes)


def refused(reason: Reason, message: str = "m", **more: Any) -> DescribeError:
    return DescribeError(reason, message, **more)


def away(reason: Reason = Reason.STORAGE_UNAVAILABLE) -> StoreUnavailableError:
    return StoreUnavailableError("away", reason)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (no event exists to wait for)
            await asyncio.sleep(0.001)
