"""Tests of clients that follow a batch, read slowly, or leave, and of how much memory they take."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import httpx
import pytest
from api_fakes import Cluster
from api_server import Connection, ask, until
from batch_fixture import FOLDERS, Batch, lines_of, result_line
from fakes.s3 import S3
from http_requests import get
from starlette.types import Message
from vision_node_api.services.batches import result_stream, results_reader
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.batches.result_stream import ResultQuery
from vision_node_api.services.batches.stream_limit import StreamLimit, StreamLimits
from vision_node_api.services.storage_health import StorageHealth
from vision_node_api.watch.imagebatch_cache import ImageBatchCache
from vision_node_api.web import json_lines
from vision_node_api.web.http_protocol import ABORT
from vision_node_contract.clients.batch_results import PIECE_BYTES
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import UnavailableError, WatchEvent

PATH = "/batches/holiday/results"
FOLLOW = f"{PATH}?follow=true"
DELETED = WatchEvent("DELETED", [{"metadata": {"name": "holiday"}}])


@asynccontextmanager
async def following(web: httpx.AsyncClient) -> AsyncIterator[AsyncIterator[str]]:
    """Follow the batch, and yield the lines."""
    async with web.stream("GET", FOLLOW) as response:
        assert response.status_code == 200
        yield response.aiter_lines()


async def test_follower_gets_results_as_they_are_counted(
    web: httpx.AsyncClient, batches: Batches, batch: Batch
) -> None:
    batch.phase = "queued"
    batch.report(batches.cache)
    async with following(web) as lines:
        batch.phase = "processing"
        for index in range(3):
            batch.count(batch.shard(index, index))
            batch.report(batches.cache)
            assert json.loads(await anext(lines))["index"] == index

        batch.phase = "done"
        batch.count(batch.shard(3, 3))
        batch.report(batches.cache)
        assert [json.loads(line)["index"] async for line in lines] == [3]

    assert batches.limits.followers.streams == 0


async def test_change_before_the_stream_begins_is_not_missed(
    batches: Batches, batch: Batch
) -> None:
    batch.report(batches.cache)
    stream = await batches.results("holiday", ResultQuery(follow=True))
    batch.count(batch.shard(0, 0))
    batch.report(batches.cache)
    async with aclosing(stream.pieces()) as pieces:
        assert [await anext(pieces) for _ in range(2)] == [b"", result_line(0)]


async def test_follower_of_a_finished_batch_gets_all_and_the_end(
    web: httpx.AsyncClient, batches: Batches, batch: Batch
) -> None:
    batch.count(batch.shard(0, 9))
    batch.phase = "failed"
    batch.report(batches.cache)
    assert len(lines_of((await web.get(FOLLOW)).content)) == 10


async def test_follower_of_a_batch_that_is_not_cached_asks_the_api_server(
    web: httpx.AsyncClient, batch: Batch, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_stream, "KEEP_ALIVE_SECONDS", 0.01)
    cluster.batches["holiday"] = batch.body()
    async with following(web) as lines:
        assert await anext(lines) == ""

        cluster.get_fails = UnavailableError(0, "NoAnswer", "no answer")
        reads = cluster.batch_reads
        assert [await anext(lines) for _ in range(3)] == [""] * 3
        assert cluster.batch_reads == reads

        cluster.get_fails = None
        batch.count(batch.shard(0, 9))
        batch.phase = "done"
        cluster.batches["holiday"] = batch.body()
        rest = [line async for line in lines if line]
        assert len(rest) == 10


async def test_empty_lines_keep_an_idle_connection_open(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_stream, "KEEP_ALIVE_SECONDS", 0.01)
    batch.report(batches.cache)
    async with following(web) as lines:
        assert [await anext(lines) for _ in range(3)] == ["", "", ""]


@pytest.mark.parametrize("is_created_again", [False, True])
async def test_stream_of_a_deleted_batch_does_not_look_complete(
    port: int, batches: Batches, batch: Batch, *, is_created_again: bool
) -> None:
    batch.count(batch.shard(0, 0))
    batch.report(batches.cache)
    async with Connection.open(port) as connection:
        await connection.send(get(FOLLOW))
        await until(lambda: bool(batches.limits.followers.streams))
        if is_created_again:
            body = batch.body(uid="another")
            batches.cache.observe(WatchEvent("ADDED", [body]))
        else:
            batches.cache.observe(DELETED)
        received = await connection.ended()

    assert b"BatchNotFound" in received
    assert b'"after":1' in received
    assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("folder", ["index", "results and manifest"])
async def test_batch_that_is_deleted_while_it_is_read_is_recognized(
    port: int, batches: Batches, batch: Batch, s3: S3, folder: str
) -> None:
    """The objects disappear before the watch reports the deletion."""
    for index in range(2):
        batch.count(batch.shard(index, index))
    batch.report(batches.cache)
    removed = "/index/000000001" if folder == "index" else ("/results/000000001", "/m1/")
    parts = (removed,) if isinstance(removed, str) else removed
    for key in [key for key in s3.objects if any(part in key for part in parts)]:
        del s3.objects[key]

    async with Connection.open(port) as connection:
        await connection.send(get(PATH))
        received = await connection.ended()

    assert b'"index":0' in received.replace(b" ", b"")
    assert b"BatchNotFound" in received
    assert b"ResultGone" not in received
    assert not received.endswith(b"0\r\n\r\n")


async def test_storage_that_fails_in_between_breaks_the_stream_off(
    port: int, batches: Batches, batch: Batch, s3: S3
) -> None:
    batch.count(batch.shard(0, 0))
    batch.report(batches.cache)
    async with Connection.open(port) as connection:
        await connection.send(get(FOLLOW))
        await until(lambda: any("/results/" in it for it in s3.requests))
        await until(lambda: bool(batches.cache._changes.names))
        batch.count(batch.shard(1, 1))
        s3.fails = (503, "SlowDown")
        batch.report(batches.cache)
        received = await connection.ended()

    assert b"StorageUnavailable" in received
    assert b'"after":1' in received
    assert not received.endswith(b"0\r\n\r\n")


async def test_large_object_that_changes_while_it_is_sent_breaks_the_stream_off(
    batches: Batches, batch: Batch, s3: S3, cluster: Cluster
) -> None:
    cluster.batches["holiday"] = batch.body()
    entry = batch.shard(0, 3, padding=PIECE_BYTES)
    batch.count(entry)
    batch.report(batches.cache)
    stream = await batches.results("holiday", ResultQuery())

    async with aclosing(stream.pieces()) as pieces:
        assert await anext(pieces)
        s3.put(str(entry.key), s3.objects[str(entry.key)].data)
        with pytest.raises(Exception, match="while they were being sent") as raised:
            await anext(pieces)

    assert cast("Any", raised.value).reason == "ResultChanged"


@pytest.mark.parametrize("path", [PATH, FOLLOW])
async def test_client_that_leaves_frees_its_place(
    port: int, batches: Batches, batch: Batch, path: str
) -> None:
    for index in range(10):
        batch.count(batch.shard(index, index, padding=PIECE_BYTES // 2))
    batch.report(batches.cache)
    limits = batches.limits

    async with Connection.open(port) as connection:
        await connection.send(get(path))
        await until(lambda: bool(limits.readers.streams + limits.followers.streams))

    await until(lambda: not limits.readers.streams + limits.followers.streams)
    assert not batches.cache._changes.names


async def test_client_that_stops_reading_loses_its_connection(
    port: int, batches: Batches, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "STALLED_SECONDS", 0.05)
    for index in range(10):
        batch.count(batch.shard(index, index, padding=3 * PIECE_BYTES))
    batch.report(batches.cache)
    async with Connection.open(port) as connection:
        await connection.send(get(PATH))
        await until(lambda: batches.limits.readers.streams == 1)
        await until(lambda: not batches.limits.readers.streams)
        received = await connection.ended()

    assert len(received) < 10 * 3 * PIECE_BYTES
    assert not received.endswith(b"0\r\n\r\n")


async def test_connection_of_a_stalled_client_is_dropped_with_its_buffers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection that is only closed lives on until the client has read what is buffered."""
    monkeypatch.setattr(json_lines, "STALLED_SECONDS", 0.01)
    aborted, sent = asyncio.Event(), 0

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"x"

    async def send(message: Message) -> None:
        nonlocal sent
        sent += 1
        await (asyncio.Event().wait() if sent > 1 else asyncio.sleep(0))

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    scope = {"type": "http", "path": "/x", ABORT: aborted.set}
    await json_lines.JsonLinesResponse(pieces(), {})(scope, receive, send)
    assert (aborted.is_set(), sent) == (True, 2)


async def test_slow_reader_gets_everything_while_nothing_piles_up(
    port: int, batches: Batches, s3: S3
) -> None:
    """The sockets' buffers hold a few MiB. Everything else stays in the bucket."""
    batch = Batch(s3, total=40)
    for index in range(40):
        batch.count(batch.shard(index, index, padding=PIECE_BYTES - 1000))
    batch.report(batches.cache)
    async with Connection.open(port) as connection:
        await connection.send(get(PATH, b"Connection: close"))
        assert await read_requests(s3) < 40
        received = await connection.ended()

    assert received.endswith(b"0\r\n\r\n")
    assert len(received) > 40 * (PIECE_BYTES - 1000)


async def read_requests(s3: S3) -> int:
    """Return how many objects have been read once the API has stopped reading."""
    before = -1
    while before < (now := len([it for it in s3.requests if "/results/" in it])):
        before = now
        await asyncio.sleep(0.2)
    return before


@pytest.mark.parametrize("follow", [False, True])
async def test_clients_beyond_the_limit_are_refused(
    port: int, batches: Batches, batch: Batch, *, follow: bool
) -> None:
    limits = StreamLimits(readers=StreamLimit(1), followers=StreamLimit(1))
    object.__setattr__(batches, "limits", limits)
    batch.report(batches.cache)
    limit = limits.followers if follow else limits.readers
    with limit.streaming():
        refused = await ask(port, get(FOLLOW if follow else PATH))
        assert (refused.status, refused.json["reason"]) == (429, "TooManyStreams")
        assert refused.headers["retry-after"] == "10"
        assert limit.streams == 1

    assert limit.streams == 0


class GeneratedBucket:
    """A bucket whose results are made when they are read, so that they take no memory here."""

    folders = FOLDERS

    def __init__(self) -> None:
        self.small: dict[str, bytes] = {}
        self.padding = 200 << 10

    def put(self, key: str, data: bytes = b"x") -> None:
        if "/results/" not in key:
            self.small[key] = data

    async def get(self, key: str, max_bytes: int) -> bytes:
        if "/results/" not in key:
            return self.small[key]
        first = int(key.rpartition("/")[2].split("-")[0])
        return result_line(first, self.padding)


async def test_thousand_objects_take_no_more_memory_than_a_few(cluster: Cluster) -> None:
    bucket = GeneratedBucket()
    batch = Batch(bucket, total=1000)
    for first in range(0, 1000, 10):
        batch.count(
            *(batch.shard(it, it, padding=bucket.padding) for it in range(first, first + 10))
        )
    cache = ImageBatchCache(cast("Any", cluster), "ns")
    reader = results_reader.ResultsReader(
        batch.model,
        cast("Bucket", bucket),
        StorageHealth(),
        cast("Any", None),
        asyncio.Semaphore(1),
    )
    stream = result_stream.ResultStream(reader, cache, StreamLimit(1), ResultQuery())
    total, lines = 0, 0

    tracemalloc.start()
    try:
        async with aclosing(stream.pieces()) as pieces:
            async for piece in pieces:
                total, lines = total + len(piece), lines + piece.count(b"\n")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (lines, total > 1000 * bucket.padding) == (1000, True)
    assert peak < 4 << 20
