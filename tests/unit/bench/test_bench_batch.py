"""Tests of the benchmark of batches, with a fake API, a fake API server and a fake bucket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from bench.batch import client as batch_client
from bench.batch.client import Batches, counted, is_complete, size_bytes
from bench.batch.large import Tally, thinned
from bench.batch.photographs import custom_id, manifest, prepare, store
from bench.batch.plan import LargeBatchPlan
from bench.celery_system.jobs import Jobs
from bench.celery_system.producer import Producer, until_stored
from bench.errors import BenchError
from bench.measure.bucket_access import node_port_service
from bench.measure.pictures_1080p import Picture
from fakes.s3 import S3, serving_s3
from vision_node_contract.clients.bucket import Bucket

Json = dict[str, Any]

PICTURES = [Picture(b"one"), Picture(b"second")]


def batch(done: int = 0, failed: int = 0, **conditions: str) -> Json:
    """Return an ImageBatch of ten images with conditions that are true, each with a reason."""
    return {
        "metadata": {"name": "b"},
        "status": {
            "phase": "processing",
            "images": {"total": 10, "done": done, "failed": failed},
            "conditions": [
                {"type": kind, "status": "True", "reason": reason, "message": "why"}
                for kind, reason in conditions.items()
            ],
        },
    }


@pytest.mark.parametrize(
    ("found", "complete"),
    [
        pytest.param({"metadata": {"name": "b"}}, False, id="new"),
        pytest.param(batch(done=10), False, id="counted, not ended"),
        pytest.param(batch(done=4, Waiting="RateLimited"), False, id="waiting"),
        pytest.param(batch(done=10, Complete="Completed"), True, id="complete"),
    ],
)
def test_batch_is_complete_with_its_condition(found: Json, *, complete: bool) -> None:
    assert is_complete(found, 10) is complete


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param(batch(done=4, Failed="Cancelled"), "Cancelled: why", id="failed"),
        pytest.param(batch(done=4, failed=1), "'failed': 1", id="image failed"),
        pytest.param(batch(done=9, Complete="Completed"), "expected 10 results", id="too few"),
    ],
)
def test_batch_with_other_outcome_ends_the_benchmark(found: Json, message: str) -> None:
    with pytest.raises(BenchError, match=f"ImageBatch b: .*{message}"):
        is_complete(found, 10)


def test_failed_images_are_counted_too() -> None:
    assert counted({"metadata": {}}) == 0
    assert counted(batch(done=3, failed=2)) == 5


def test_size_is_that_of_compact_json() -> None:
    assert size_bytes({"a": [1, 2]}) == len('{"a":[1,2]}')


class FakeKube:
    """An API server with ImageBatches that are complete after a number of readings."""

    def __init__(self, readings: int = 1) -> None:
        self.batches: dict[str, Json] = {}
        self.created: list[Json] = []
        self.shards = 2
        """Number of lists of shards that are not empty."""
        self._readings = readings

    async def create(self, path: str, body: Json) -> None:
        self.created.append(body)
        self.batches[f"{path}/{body['metadata']['name']}"] = body

    async def get(self, path: str) -> Json:
        self._readings -= 1
        return batch(done=10, Complete="Completed") if self._readings < 0 else batch(done=1)

    async def find(self, path: str) -> Json | None:
        return self.batches.get(path)

    async def delete(self, path: str) -> None:
        del self.batches[path]

    async def items(self, path: str, **query: str) -> list[Json]:
        assert path.endswith("/imagejobs")
        assert query["labelSelector"] == "vision-node.dev/batch"
        self.shards -= 1
        return [{}] if self.shards >= 0 else []


@asynccontextmanager
async def batches_with(
    kube: FakeKube, replies: list[tuple[int, bytes]] | None = None
) -> AsyncIterator[Batches]:
    """Serve the replies in turn as the results of any ImageBatch."""

    async def answer(request: web.Request) -> web.Response:
        assert request.query == {"follow": "true"}
        status, body = (replies or []).pop(0)
        return web.Response(status=status, body=body)

    app = web.Application()
    app.router.add_get("/batches/{name}/results", answer)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as http:
        yield Batches(kube, http)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIST_SECONDS", "POLL_SECONDS"):
        monkeypatch.setattr(batch_client, name, 0)
    monkeypatch.setattr("bench.measure.kube_api.LOOK_SECONDS", 0)


async def test_batch_is_created_watched_and_deleted_with_its_shards() -> None:
    kube = FakeKube(readings=2)
    spec = {"describer": "nothing", "prefix": "inbox/x/"}

    async with batches_with(kube) as batches, batches.created(**spec) as name:
        assert kube.created[0]["spec"] == spec
        await batches.until_complete(name, 10)
        assert len(kube.batches) == 1

    assert kube.batches == {}
    assert kube.shards < 0


async def test_batch_is_deleted_after_an_error() -> None:
    kube = FakeKube()
    async with batches_with(kube) as batches:
        with pytest.raises(BenchError, match="expected 11"):
            async with batches.created(prefix="inbox/x/") as name:
                await batches.until_complete(name, 11)

    assert kube.batches == {}


async def test_first_result_is_awaited_while_there_is_none() -> None:
    replies = [(404, b"{}"), (200, b"\n"), (200, b'{"index": 0}\n'), (500, b"")]
    async with batches_with(FakeKube(), replies) as batches:
        await batches.until_first_result("b")

    assert replies == [(500, b"")]


async def test_benchmark_ends_without_a_first_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_client, "FIRST_RESULT_SECONDS", 0)
    async with batches_with(FakeKube(), [(404, b"{}")] * 1000) as batches:
        with pytest.raises(BenchError, match=r"ImageBatch b: .*no result after 0 s"):
            await batches.until_first_result("b")


async def test_results_are_read_line_by_line() -> None:
    async with batches_with(FakeKube(), [(200, b"1\n\n22\n")]) as batches:
        assert [line async for line in batches.results("b")] == [b"1\n", b"22\n"]


@pytest.mark.parametrize("status", [404, 500])
async def test_missing_results_of_a_complete_batch_are_an_error(status: int) -> None:
    async with batches_with(FakeKube(), [(status, b"no")]) as batches:
        with pytest.raises(BenchError, match=f"{status} no"):
            _ = [line async for line in batches.results("b")]


def result(number: int) -> bytes:
    return json.dumps({"customId": custom_id(number), "result": {}}).encode()


def test_each_result_is_counted_once() -> None:
    tally = Tally(4)
    for number in (0, 2, 2, 3):
        tally.add(result(number))

    assert (tally.lines, tally.missing, tally.repeated) == (4, 1, 1)
    assert tally.bytes == 4 * len(result(0))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"customId": "image-0000000", "error": {}}', id="error"),
        pytest.param(result(4), id="unknown"),
    ],
)
def test_unexpected_line_of_results_ends_the_benchmark(line: bytes) -> None:
    with pytest.raises(BenchError):
        Tally(4).add(line)


@asynccontextmanager
async def served_bucket() -> AsyncIterator[tuple[S3, Bucket]]:
    async with serving_s3() as (s3, settings), Bucket.open(settings) as bucket:
        yield s3, bucket


async def test_same_photographs_are_stored_as_objects_and_files(tmp_path: Path) -> None:
    async with served_bucket() as (s3, bucket):
        found = await prepare(bucket, "inbox/bench/", tmp_path, PICTURES, 3)

    assert found.prefix == "inbox/bench/3/"
    assert found.keys == [f"inbox/bench/3/0000{number}.jpg" for number in range(3)]
    assert [s3.objects[key].data for key in found.keys] == [b"one", b"second", b"one"]
    assert list(map(_content, found.files)) == [b"one", b"second", b"one"]


def _content(file: str) -> bytes:
    return Path(file).read_bytes()


async def test_photographs_of_an_earlier_run_are_kept() -> None:
    async with served_bucket() as (s3, bucket):
        s3.put("inbox/00000.jpg", b"one")
        s3.put("inbox/00001.jpg", b"cut off")
        await store(bucket, "inbox/", PICTURES, 3)

    puts = sorted(request for request in s3.requests if request.startswith("PUT"))
    assert puts == [f"PUT /bucket/inbox/0000{number}.jpg" for number in (1, 2)]


def test_manifest_repeats_objects_with_an_id_for_each_image() -> None:
    lines = [json.loads(line) for line in manifest(["k", "l"], 3).splitlines()]
    assert lines == [
        {"customId": "image-0000000", "key": "k"},
        {"customId": "image-0000001", "key": "l"},
        {"customId": "image-0000002", "key": "k"},
    ]


def test_curve_is_thinned_and_keeps_its_end() -> None:
    curve = [(float(at), at) for at in range(5000)]
    found = thinned(curve)
    assert len(found) <= 1001
    assert (found[0], found[-1]) == (curve[0], curve[-1])
    assert thinned(curve[:3]) == curve[:3]


async def test_celery_tasks_name_what_is_stored(tmp_path: Path) -> None:
    jobs, sent = Jobs(tmp_path), []

    def send(task: str, arguments: tuple[str, ...]) -> None:
        sent.append((task, *arguments))
        jobs.add_finished(arguments[0], "metadata", result="{}", error=None)

    seconds = await Producer(send, jobs).describe("describe_file", "metadata", ["a", "b"])

    assert seconds > 0
    assert sent == [("describe_file", name, "metadata", name) for name in ("a", "b")]


async def test_failed_celery_job_ends_the_benchmark(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    jobs.add_finished("a", "metadata", result=None, error="no")
    with pytest.raises(BenchError, match="1 jobs failed"):
        await until_stored(jobs, 1)


def test_repeated_celery_task_replaces_its_result(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    for result in ("1", "2"):
        jobs.add_finished("a", "metadata", result=result, error=None)

    assert (jobs.count("status = 'done'"), jobs.result("a")) == (1, "2")


def test_service_opens_a_port_for_the_pods_of_minio() -> None:
    port = {"name": "s3", "port": 9000, "targetPort": "s3", "protocol": "TCP"}
    found = node_port_service({"spec": {"selector": {"app": "minio"}, "ports": [port]}})
    assert found["spec"] == {
        "type": "NodePort",
        "selector": {"app": "minio"},
        "ports": [{"port": 9000, "targetPort": "s3"}],
    }


@pytest.mark.parametrize(
    ("env", "images", "quick"),
    [
        ({}, 100_000, False),
        ({"QUICK": "1"}, 10_000, True),
        ({"QUICK": "0", "IMAGES": "1000000"}, 1_000_000, False),
        ({"QUICK": "1", "IMAGES": "2000"}, 2000, True),
    ],
)
def test_large_batch_has_the_size_from_make(
    env: dict[str, str], images: int, *, quick: bool
) -> None:
    plan = LargeBatchPlan.from_env(env)
    assert (plan.images, plan.quick) == (images, quick)


@pytest.mark.parametrize("images", ["999", "many"])
def test_large_batch_needs_a_thousand_images(images: str) -> None:
    with pytest.raises(BenchError, match="IMAGES"):
        LargeBatchPlan.from_env({"IMAGES": images})
