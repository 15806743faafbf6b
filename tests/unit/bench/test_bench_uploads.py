"""Tests of the benchmark of uploads, with a fake API, a fake API server and a fake bucket."""

import asyncio
import dataclasses
import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import BodyPartReader, web
from aiohttp.test_utils import TestServer
from bench.batch import client as batch_client
from bench.batch import uploads as batch_uploads
from bench.batch.client import Batches
from bench.batch.plan import UploadsPlan
from bench.batch.simultaneous_uploads import Rig, exercise
from bench.batch.upload_body import BODIES, FormBody, TarBody, UploadBody, images_within
from bench.batch.upload_results import SimultaneousUploads
from bench.batch.upload_rounds import UploadRounds
from bench.batch.uploads import Uploads
from bench.errors import BenchError
from bench.measure.bucket_access import BucketAccess
from bench.measure.meter import Cost
from bench.measure.node import free_disk_bytes
from bench.measure.pictures_1080p import Picture
from bench.plan import METADATA, NOTHING, QUICK, UPLOADED_FORM, UPLOADED_TAR
from bench.results import VISION_NODE, Machine, Run
from fakes.s3 import S3, serving_s3
from vision_node_contract.batch_objects import BatchFolder
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.bucket import Bucket

Json = dict[str, Any]
Files = list[tuple[str, bytes]]

PICTURES = [Picture(b"one"), Picture(bytes(512)), Picture(b"third" * 200)]
MACHINE = Machine("", 4, 2, True, "", False, "", {})  # noqa: FBT003


async def form_files(request: web.Request) -> Files:
    """Return the files of a form, as aiohttp reads it."""
    files = []
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        assert part.name == "files"
        files.append((part.filename or "", bytes(await part.read())))

    return files


async def tar_files(request: web.Request) -> Files:
    """Return the files of a tar stream, as Python's tarfile reads it."""
    with tarfile.open(fileobj=io.BytesIO(await request.read()), mode="r|") as archive:
        return [(it.name, _content(archive, it)) for it in archive]


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member)
    assert content
    return content.read()


@dataclass
class System:
    """vision-node: its API, its ImageBatches, and its bucket."""

    s3: S3
    folders: BucketFolders
    files: dict[str, Files] = field(default_factory=dict)
    """The uploaded files by the name of their ImageBatch. Deleted ones are not in it."""
    describers: list[str] = field(default_factory=list)
    lengths: list[int | None] = field(default_factory=list)
    """The Content-Length of each upload."""
    refused: int = 0
    """Number of files to refuse in the next uploads."""
    status: int = 202
    barrier: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(1))
    """Uploads are answered when as many have arrived."""
    keeps_objects: bool = False

    async def upload(self, request: web.Request) -> web.Response:
        if self.status != 202:
            return web.json_response({"title": "no"}, status=self.status)

        is_form = request.content_type == "multipart/form-data"
        files = await (form_files(request) if is_form else tar_files(request))
        name = request.query["name"]
        self.files[name] = files
        self.describers.append(request.query["describer"])
        self.lengths.append(request.content_length)
        self.s3.put(f"{BatchFolder(self.folders, name).prefix}u/a/p0", b"pack")
        await self.barrier.wait()

        refused = {"count": self.refused, "files": []}
        accepted = len(files) - self.refused
        receipt = {"uid": name, "images": accepted, "skipped": 0, "refused": refused}
        return web.json_response(receipt, status=202)

    # As the API server:

    async def get(self, path: str) -> Json:
        images = len(self.files[path.rpartition("/")[2]])
        complete = {"type": "Complete", "status": "True", "reason": "Completed", "message": ""}
        return {"status": {"images": {"done": images}, "conditions": [complete]}}

    async def find(self, path: str) -> Json | None:
        return {} if path.rpartition("/")[2] in self.files else None

    async def delete(self, path: str) -> None:
        name = path.rpartition("/")[2]
        self.files.pop(name, None)
        if not self.keeps_objects:
            self.s3.objects.pop(f"{BatchFolder(self.folders, name).prefix}u/a/p0", None)

    async def items(self, path: str, **query: str) -> list[Json]:
        return []

    # As the meter:

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Cost]:
        cost = Cost()
        yield cost
        cost.seconds, cost.cpu_seconds = 1.0, {"api": 2.0}

    async def wait_until_idle(self) -> None: ...

    async def memory(self) -> dict[str, int]:
        return {"api": 150_000_000 if self.files else 70_000_000}


@asynccontextmanager
async def uploading() -> AsyncIterator[tuple[Any, Uploads]]:
    """Serve a system, and yield it and its client."""
    async with serving_s3() as (s3, settings), Bucket.open(settings) as bucket:
        system: Any = System(s3, settings.folders)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/batches", system.upload)

        async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as http:
            yield system, Uploads(Batches(system, http), http, BucketAccess(settings, bucket))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_client, "LIST_SECONDS", 0)
    monkeypatch.setattr("bench.measure.kube_api.LOOK_SECONDS", 0)


def expected(images: int) -> Files:
    return [
        (f"photographs/{number:05}.jpg", PICTURES[number % len(PICTURES)].data)
        for number in range(images)
    ]


@pytest.mark.parametrize("kind", [UPLOADED_FORM, UPLOADED_TAR])
async def test_body_is_read_as_files_with_distinct_names(kind: str) -> None:
    body = BODIES[kind](PICTURES, 7)
    async with uploading() as (system, uploads), uploads.sent(body, METADATA) as uploaded:
        assert system.files == {uploaded.name: expected(7)}
        assert system.describers == [METADATA]
        assert system.lengths == [body.size_bytes]
        assert uploaded.seconds > 0


@pytest.mark.parametrize("kind", [FormBody, TarBody])
def test_pictures_are_not_copied_into_the_body(kind: type[UploadBody]) -> None:
    parts = kind(PICTURES, 3).parts()
    assert sum(part is picture.data for part in parts for picture in PICTURES) == 3


@pytest.mark.parametrize(("size", "images"), [(1, 1), (515, 2), (516, 3), (1515 + 4, 5)])
def test_upload_has_at_least_its_size(size: int, images: int) -> None:
    assert images_within(size, PICTURES) == images


async def test_batch_and_its_objects_are_gone_afterward() -> None:
    async with uploading() as (system, uploads):
        async with uploads.sent(TarBody(PICTURES, 2), NOTHING):
            assert system.s3.objects

        assert system.files == {}
        assert system.s3.objects == {}


async def test_objects_that_stay_end_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_uploads, "EMPTY_SECONDS", 0)
    async with uploading() as (system, uploads):
        system.keeps_objects = True
        with pytest.raises(BenchError, match=r"batches/\w+/bench-\w+/ has been emptied"):
            async with uploads.sent(TarBody(PICTURES, 2), NOTHING):
                pass


async def test_refused_images_end_the_benchmark_and_the_batch_is_deleted() -> None:
    async with uploading() as (system, uploads):
        system.refused = 1
        with pytest.raises(BenchError, match="of 3 images, 2 were accepted, 0 skipped and 1"):
            async with uploads.sent(TarBody(PICTURES, 3), NOTHING):
                pass

        assert system.files == {}


async def test_refused_upload_ends_the_benchmark() -> None:
    async with uploading() as (system, uploads):
        system.status = 429
        with pytest.raises(BenchError, match=r"upload of ImageBatch bench-\w+: 429 .*no"):
            async with uploads.sent(TarBody(PICTURES, 3), NOTHING):
                pass


async def test_broken_connection_ends_the_benchmark() -> None:
    nowhere = aiohttp.ClientSession("http://127.0.0.1:1")
    async with uploading() as (_, uploads), nowhere:
        cut_off = dataclasses.replace(uploads, http=nowhere)
        with pytest.raises(BenchError, match="ClientConnectorError"):
            async with cut_off.sent(TarBody(PICTURES, 1), NOTHING):
                pass


async def test_rounds_upload_in_both_ways_in_alternating_order() -> None:
    async with uploading() as (system, uploads):
        said: list[str] = []
        run = Run(MACHINE)
        rounds = UploadRounds(QUICK, PICTURES, uploads, system, run, said.append)
        await rounds.prepare()
        assert run.samples == []
        for number in range(2):
            await rounds.measure(number)

    assert [(it.load, it.round) for it in run.samples] == [
        (UPLOADED_FORM, 0),
        (UPLOADED_TAR, 0),
        (UPLOADED_TAR, 1),
        (UPLOADED_FORM, 1),
    ]
    for sample in run.samples:
        assert (sample.system, sample.describer) == (VISION_NODE, METADATA)
        assert sample.images == QUICK.batch_images
        assert 0 < sample.upload_seconds < sample.seconds
        assert sample.cpu_seconds == {"api": 2}


async def test_simultaneous_uploads_are_measured_and_deleted() -> None:
    async with uploading() as (system, uploads):
        system.barrier = asyncio.Barrier(4)
        stage: Any = SimpleNamespace(say=lambda _: None)
        found = SimultaneousUploads(MACHINE, 1)
        plan = UploadsPlan(size_mb=1, memory_seconds=0)
        await exercise(Rig(stage, uploads, system), plan, [Picture(bytes(300_000))], found)

        assert system.describers == [NOTHING] * 4
        assert (system.files, system.s3.objects) == ({}, {})

    kinds = sorted(it.kind for it in found.uploads)
    assert kinds == [UPLOADED_FORM, UPLOADED_FORM, UPLOADED_TAR, UPLOADED_TAR]
    assert {it.images for it in found.uploads} == {4}
    assert all(it.size_bytes > 1_200_000 for it in found.uploads)
    assert 0 < max(it.seconds for it in found.uploads) <= found.upload_seconds <= found.seconds
    assert (found.memory_before, found.memory) == ({"api": 70_000_000}, {"api": 150_000_000})
    assert found.cpu_seconds == {"api": 2}
    assert found.emptied_seconds > 0


@pytest.mark.parametrize(
    ("env", "size_mb", "quick"),
    [
        ({}, 2000, False),
        ({"QUICK": "1"}, 200, True),
        ({"QUICK": "0", "SIZE_MB": "500"}, 500, False),
        ({"QUICK": "1", "SIZE_MB": "20"}, 20, True),
    ],
)
def test_uploads_have_the_size_from_make(env: dict[str, str], size_mb: int, *, quick: bool) -> None:
    plan = UploadsPlan.from_env(env)
    assert (plan.uploads, plan.size_mb, plan.quick) == (4, size_mb, quick)


@pytest.mark.parametrize("size", ["0", "2G"])
def test_size_of_uploads_is_a_whole_number(size: str) -> None:
    with pytest.raises(BenchError, match="SIZE_MB"):
        UploadsPlan.from_env({"SIZE_MB": size})


@pytest.mark.parametrize(("free_gb", "is_enough"), [(9.1, True), (8.9, False), (0, False)])
def test_uploads_need_room_on_the_disk(free_gb: float, *, is_enough: bool) -> None:
    free_bytes = int(free_gb * 1e9)
    if is_enough:
        UploadsPlan().require_disk(free_bytes)
        return

    with pytest.raises(BenchError, match=r"4 uploads of 2000 MB need 9\.0 GB on the disk"):
        UploadsPlan().require_disk(free_bytes)


def test_free_space_is_that_of_the_images_disk() -> None:
    kind = Mock(node_name="node")
    kind.engine.output.return_value = "  Avail\n12345678\n"
    assert free_disk_bytes(kind) == 12345678
    assert kind.engine.output.call_args.args[:3] == ("exec", "node", "df")
