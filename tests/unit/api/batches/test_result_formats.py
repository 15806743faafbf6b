"""Tests of GET /batches/{name}/results with format=csv and with phase."""

import csv
import hashlib
import io
import json
import tracemalloc
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from api_fakes import Cluster
from api_server import Connection, until
from batch_fixture import MANIFEST, Batch, custom_id
from fakes.s3 import S3
from http_requests import get
from vision_node_api.services.batches import line_blocks, result_stream
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.batches.line_blocks import LineBlocks
from vision_node_api.services.batches.result_formats import encoder_of
from vision_node_api.services.batches.result_line import head_of, index_of, phase_of
from vision_node_api.services.batches.result_stream import ResultQuery
from vision_node_api.web.csv_cells import csv_rows, safe_cell
from vision_node_contract.batch_objects import IndexEntry
from vision_node_contract.clients.batch_results import PIECE_BYTES
from vision_node_contract.clients.kube import WatchEvent

PATH = "/batches/holiday/results"
COLUMNS = ["customId", "file", "phase", "caption", "alt", "tags", "text", "error"]
ERROR = {"reason": "ImageUnreadable", "message": "it is no image"}
RESULT = {
    "description": "Image Description: A cat.",
    "caption": "A cat.",
    "alt": "Photo: a cat",
    "tags": ["cat", "sofa"],
    "text": 'He said "no",\nthen left',
}


def rows_of(text: bytes) -> list[list[str]]:
    """Return the rows of a table without a mark at its start."""
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


def put_lines(batch: Batch, s3: S3, first: int, *lines: dict[str, Any] | bytes) -> IndexEntry:
    """Store lines as the results of a shard."""
    entry = batch.shard(first, first + len(lines) - 1)
    data = b"".join(
        it if isinstance(it, bytes) else json.dumps(it, separators=(",", ":")).encode() + b"\n"
        for it in lines
    )
    s3.put(str(entry.key), data)
    digest = hashlib.sha256(data).hexdigest()
    return entry.model_copy(update={"sha256": digest, "size_bytes": len(data)})


def line(index: int, custom: str = "", key: str = "", **outcome: Any) -> dict[str, Any]:
    found = {"index": index, "customId": custom or custom_id(index)}
    return {**found, "key": key or f"inbox/aaaabbbbcccc/holiday/{index}.jpg", **outcome}


@pytest.fixture
def mixed(batches: Batches, batch: Batch, s3: S3) -> Batch:
    """A running batch with two parts: images 0 and 2 are done, 1 and 3 have failed."""
    batch.count(put_lines(batch, s3, 0, line(0, result=RESULT), line(1, error=ERROR)))
    batch.count(put_lines(batch, s3, 2, line(2, result=RESULT), line(3, error=ERROR)))
    batch.report(batches.cache)
    return batch


@pytest.mark.usefixtures("mixed")
async def test_table_has_a_row_for_each_image(web: httpx.AsyncClient) -> None:
    response = await web.get(PATH, params={"format": "csv"})
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="holiday.csv"'
    assert response.headers["vision-node-after"] == "2"

    mark, content = response.content[:3], response.content[3:]
    assert mark == b"\xef\xbb\xbf"
    assert content.startswith(b"customId,file,phase,caption,alt,tags,text,error\r\n")
    assert content.endswith(b"ImageUnreadable: it is no image\r\n")
    header, *rows = rows_of(content)
    described = ["done", "A cat.", "Photo: a cat", "cat, sofa", 'He said "no",\nthen left', ""]
    failed = ["failed", "", "", "", "", "ImageUnreadable: it is no image"]
    assert header == COLUMNS
    assert rows == [
        ["photo-0.jpg", "0.jpg", *described],
        ["photo-1.jpg", "1.jpg", *failed],
        ["photo-2.jpg", "2.jpg", *described],
        ["photo-3.jpg", "3.jpg", *failed],
    ]


@pytest.mark.usefixtures("mixed")
async def test_table_is_resumed_without_a_header(web: httpx.AsyncClient) -> None:
    whole = (await web.get(PATH, params={"format": "csv"})).content
    rest = (await web.get(PATH, params={"format": "csv", "after": 1})).content
    assert rest.startswith(b"photo-2.jpg,")
    assert whole.endswith(rest)
    assert (await web.get(PATH, params={"format": "csv", "after": 2})).content == b""


async def test_table_without_results_has_a_header(
    web: httpx.AsyncClient, batches: Batches, batch: Batch
) -> None:
    batch.report(batches.cache)
    content = (await web.get(PATH, params={"format": "csv"})).content
    assert rows_of(content[3:]) == [COLUMNS]


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize(
    ("phase", "expected"),
    [("done", ["0", "2"]), ("failed", ["1 ImageUnreadable", "3 ImageUnreadable"])],
)
async def test_images_are_filtered_by_phase(
    web: httpx.AsyncClient, s3: S3, phase: str, expected: list[str]
) -> None:
    whole = (await web.get(PATH)).content.splitlines()
    lines = (await web.get(PATH, params={"phase": phase})).content
    assert [json.loads(it)["index"] for it in lines.splitlines()] == [
        int(it.split()[0]) for it in expected
    ]
    assert set(lines.splitlines()) < set(whole)  # unchanged

    table = (await web.get(PATH, params={"phase": phase, "format": "csv"})).content
    assert {row[2] for row in rows_of(table[3:])[1:]} == {phase}
    assert len(rows_of(table[3:])) == 3


@pytest.mark.usefixtures("mixed")
async def test_filtered_lines_are_resumed_and_marked(web: httpx.AsyncClient) -> None:
    query = {"phase": "failed", "after": "1", "marks": "true"}
    lines = (await web.get(PATH, params=query)).content.splitlines()
    assert [json.loads(it).get("index", "mark") for it in lines] == [3, "mark"]


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize(
    "query", ["format=csv&marks=true", "format=xlsx", "phase=queued", "format=csv&phase=x"]
)
async def test_impossible_format_is_refused(web: httpx.AsyncClient, query: str) -> None:
    response = await web.get(f"{PATH}?{query}")
    assert (response.status_code, response.json()["reason"]) == (422, "InvalidRequest")


async def test_table_is_followed(
    web: httpx.AsyncClient,
    batches: Batches,
    batch: Batch,
    s3: S3,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(result_stream, "KEEP_ALIVE_SECONDS", 0.01)
    batch.report(batches.cache)
    async with web.stream("GET", f"{PATH}?format=csv&follow=true") as response:
        pieces = response.aiter_bytes()
        content = await anext(pieces)
        while b"\r\n\r\n" not in content:
            content += await anext(pieces)

        batch.count(put_lines(batch, s3, 0, line(0, result=RESULT)))
        batch.phase = "done"
        batch.report(batches.cache)
        content += b"".join([piece async for piece in pieces])

    rows = [row for row in rows_of(content[3:]) if row]
    assert [row[0] for row in rows] == ["customId", "photo-0.jpg"]


@pytest.mark.usefixtures("mixed")
async def test_problem_at_the_start_of_a_table_is_the_response(
    web: httpx.AsyncClient, s3: S3
) -> None:
    s3.fails = (503, "SlowDown")
    response = await web.get(PATH, params={"format": "csv"})
    assert (response.status_code, response.json()["reason"]) == (503, "StorageUnavailable")


async def test_table_that_can_not_be_completed_ends_with_an_error(
    port: int, batches: Batches, batch: Batch
) -> None:
    batch.count(batch.shard(0, 0))
    batch.report(batches.cache)
    async with Connection.open(port) as connection:
        await connection.send(get(f"{PATH}?format=csv&follow=true"))
        await until(lambda: bool(batches.limits.followers.streams))
        batches.cache.observe(WatchEvent("DELETED", [batch.body()]))
        received = await connection.ended()

    assert b",,failed,,,,,BatchNotFound: The batch was deleted" in received
    assert not received.endswith(b"0\r\n\r\n")


async def test_images_without_own_results_have_rows(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, s3: S3, cluster: Cluster
) -> None:
    cluster.batches["holiday"] = batch.body()
    lost = batch.shard(0, 4)
    error = {"reason": "OutOfMemory", "message": "It ran out of memory."}
    poison = {"shard": "s", "ranges": "5", "failed": 1, "error": error}
    batch.count(lost)
    batch.count(IndexEntry.model_validate(poison))
    batch.count(batch.shard(6, 6))
    batch.report(batches.cache)
    del s3.objects[str(lost.key)]
    del s3.objects[batch.folder.index(2)]

    rows = rows_of((await web.get(PATH, params={"format": "csv"})).content[3:])[1:]
    assert [row[0] for row in rows] == [*map(custom_id, range(6)), ""]
    assert [row[7].partition(":")[0] for row in rows] == [
        *["ResultGone"] * 5,
        *["OutOfMemory", "ResultGone"],
    ]

    del s3.objects[f"{MANIFEST}000000000"]
    rows = rows_of((await web.get(PATH, params={"format": "csv"})).content[3:])[1:]
    assert rows[0][7].endswith("(images 0-4)")
    failed = (await web.get(PATH, params={"phase": "failed"})).content
    assert [json.loads(it)["error"]["reason"] for it in failed.splitlines()] == [
        *["ResultGone", "OutOfMemory", "ResultGone"]
    ]
    assert (await web.get(PATH, params={"phase": "done"})).content == b""


@pytest.mark.parametrize(
    ("key", "custom", "expected"),
    [
        ("inbox/aaaabbbbcccc/2024/cat.jpg", "a-17", "cat.jpg"),
        ("batches/aaaabbbbcccc/0b1c/u/abcdefghij/p000000000", "2024/dog.jpg", "dog.jpg"),
        ("batches/aaaabbbbcccc/0b1c/u/i/MjAyNC9kb2c.", "dog.jpg", "dog.jpg"),
        ("", "line-3/", ""),
    ],
)
def test_file_is_that_of_the_inbox_or_of_the_upload(key: str, custom: str, expected: str) -> None:
    image = {"index": 0, "customId": custom, "key": key, "result": RESULT}
    encoder = encoder_of("csv", None)
    assert encoder
    block = json.dumps(image).encode() + b"\n"
    assert rows_of(encoder.encode(block))[0][1] == expected


ODD: dict[str, tuple[dict[str, Any] | bytes, str]] = {
    "texts that are none": (line(0, result={"caption": 1, "tags": "cat", "text": ["x"]}), "done"),
    "tags that are none": (line(0, result={"tags": [1, "cat", None]}), "done"),
    "no outcome": (line(0), "failed"),
    "no object": (b"[1]\n", "failed"),
    "no JSON": (b"nonsense\n", "failed"),
    "nested": (b"[" * 100_000 + b"\n", "failed"),
    "not UTF-8": (b'{"index":0,"customId":"\xff","result":{}}\n', "failed"),
    "surrogate": (b'{"index":0,"customId":"\\ud800","result":{}}\n', "done"),
    "control characters": (b'{"index":0,"customId":"\\u0000","result":{}}\n', "done"),
    "other order": (b'{"result": {"caption": "x"}, "index": 0, "customId": "a"}\n', "done"),
    "error in a text": (b'{"index":0,"customId":"\\",\\"error\\":","result":{}}\n', "done"),
    "error without reason": (line(0, error="x"), "failed"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_line_of_a_worker_has_a_row(case: str) -> None:
    """A worker may write any text."""
    odd, phase = ODD[case]
    block = odd if isinstance(odd, bytes) else json.dumps(odd).encode() + b"\n"
    encoder = encoder_of("csv", None)
    assert encoder
    rows = rows_of(encoder.encode(block))
    assert [(len(row), row[2]) for row in rows] == [(len(COLUMNS), phase)]


@pytest.mark.parametrize("phase", ["done", "failed"])
def test_phase_is_found_without_parsing(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = {"result": {"error": "x"}} if phase == "done" else {"error": {"result": "x"}}
    text = json.dumps(line(7, 'a"\\,"error":', **outcome), separators=(",", ":")).encode()
    head = head_of(text)
    assert head
    assert (head.index, head.custom_id, head.phase) == (7, 'a"\\,"error":', phase)

    monkeypatch.delattr("json.loads")
    assert (phase_of(text), index_of(text)) == (phase, 7)


CELLS = {
    "": "",
    "a cat": "a cat",
    "1 + 1 = 2": "1 + 1 = 2",
    "a-b": "a-b",
    "'=1": "'=1",
    "=1+1": "'=1+1",
    "+1": "'+1",
    "-1": "'-1",
    "@SUM(A1)": "'@SUM(A1)",
    "\t=1": "'\t'=1",
    "\tx": "'\tx",
    "\rx": "'\rx",
    "\nx": "'\nx",
    "  =1": "'  =1",
    "\u3000\uff1d1": "'\u3000\uff1d1",
    "\uff0b1": "'\uff0b1",
    "\uff0d1": "'\uff0d1",
    "\uff201": "'\uff201",
    "\ufeff=1": "'\ufeff=1",
    "a;=1": "a;'=1",
    "a; @x": "a;' @x",
    "a\n=1": "a\n'=1",
    "a\nb": "a\nb",
    "a\0": "a\ufffd",
}
"""Texts, and the cells that they become."""


@pytest.mark.parametrize("text", CELLS)
def test_cell_is_no_formula(text: str) -> None:
    assert safe_cell(text) == CELLS[text]
    assert list(csv.reader(io.StringIO(csv_rows([[text, "x"]]).decode(), newline=""))) == [
        [CELLS[text], "x"]
    ]


def test_cell_of_line_breaks_takes_no_time_to_check() -> None:
    text = "\n " * 500_000
    assert safe_cell(text) == "'" + text


def test_names_of_files_are_safe_in_a_table(batch: Batch) -> None:
    encoder = encoder_of("csv", None)
    assert encoder
    evil = "=cmd|' /C calc'!A1"
    block = json.dumps(line(0, evil, f"inbox/x/{evil}", result={"tags": [evil]})).encode() + b"\n"
    assert all(not cell.startswith("=") for cell in rows_of(encoder.encode(block))[0])


@pytest.mark.parametrize("size", [3, 100, 1 << 20])
def test_blocks_have_whole_lines(size: int) -> None:
    lines = [b"x" * (it % 50) + b"\n" for it in range(200)] + [b"y" * 70_000 + b"\n"]
    data, blocks = b"".join(lines), LineBlocks()
    found = [
        block for at in range(0, len(data), size) for block in blocks.feed(data[at : at + size])
    ]
    assert b"".join(found) == data
    assert all(block.endswith(b"\n") for block in found)
    assert all(len(it) <= line_blocks.BLOCK_BYTES or it.count(b"\n") == 1 for it in found)


def test_line_that_is_too_long_becomes_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_blocks, "MAX_LINE_BYTES", 1000)
    long = json.dumps(line(5, result={"text": "x" * 5000}), separators=(",", ":")).encode()
    blocks = LineBlocks()
    data = b"a\n" + long + b"\nb\n"
    found = b"".join(
        block for at in range(0, len(data), 100) for block in blocks.feed(data[at : at + 100])
    )
    first, error, last = found.splitlines()
    assert (first, last) == (b"a", b"b")
    parsed = json.loads(error)
    assert (parsed["index"], parsed["error"]["reason"]) == (5, "ResultUnreadable")


async def test_large_object_is_filtered_in_little_memory(
    batches: Batches, batch: Batch, s3: S3
) -> None:
    padded = {**RESULT, "text": "x" * 1000}
    lines = [line(it, result=padded) for it in range(8000)]
    batch.total = 8000
    batch.count(put_lines(batch, s3, 0, *lines))
    batch.report(batches.cache)
    assert len(s3.objects[batch.folder.results(0, "shard-0", 1)].data) > 8 * PIECE_BYTES

    stream = await batches.results("holiday", ResultQuery(format="csv", phase="done"))
    rows = 0
    tracemalloc.start()
    try:
        async with aclosing(stream.pieces()) as pieces:
            async for piece in pieces:
                rows += piece.count(b"photo-")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert rows == 8000
    assert peak < 12 * PIECE_BYTES
