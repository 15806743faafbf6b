"""Tests of GET /jobs/{job_id} and GET /jobs/export: everything about jobs, live and evicted."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from api_archive import START, Archive, batch_body, job_body, put_into_etcd, report, uid_of
from api_fakes import Cluster
from api_server import Connection
from fastapi import FastAPI
from vision_node_api.services.history import job_export
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_contract.history.database import HistoryUnavailableError
from vision_node_contract.names import REUSE_LABEL

SPEC = {
    "priority": 3,
    "retryOf": "job-0",
    "options": {"language": "de", "maxLength": 100},
    "image": {
        "key": "images/aaaabbbbcccc/1",
        "fileName": "cat.png",
        "mediaType": "image/png",
        "width": 40,
        "height": 30,
        "sizeBytes": 1234,
        "sha256": "ab" * 32,
    },
}
LARGE = {"describer": "local", "summary": "s", "key": f"results/aaaabbbbcccc/{uid_of(2)}/1"}


def full_body() -> dict[str, Any]:
    """Return an ImageJob with everything that clients see."""
    body = job_body(1, spec=SPEC, owner="ada")
    body["metadata"]["labels"] |= {"team": "web", REUSE_LABEL: "0" * 32}
    return body


async def lines(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """Return the lines of an export."""
    response = await client.get("/jobs/export", params=query)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.mark.parametrize("place", ["cache", "API server", "history"])
async def test_job_has_everything(
    client: httpx.AsyncClient, jobs: Jobs, cluster: Cluster, archive: Archive, place: str
) -> None:
    body = full_body()
    match place:
        case "cache":
            report(jobs, body)
        case "API server":
            put_into_etcd(cluster, body)
        case _:
            await archive.add(body)

    found = (await client.get("/jobs/job-1")).json()
    status = (await client.get("/status/job-1")).json()
    result = (await client.get("/result/job-1")).json()
    del result["job_id"], result["status"]
    assert found == {
        **status,
        "labels": {"vision-node.dev/owner": "ada", "team": "web"},
        "priority": 3,
        "options": {"language": "de", "maxLength": 100},
        "image": {
            "media_type": "image/png",
            "width": 40,
            "height": 30,
            "size_bytes": 1234,
            "file_name": "cat.png",
            "sha256": "ab" * 32,
        },
        "retry_of": "job-0",
        "batch": None,
        "index": None,
        "custom_id": None,
        "result": result,
        "result_error": None,
        "callback": None,
    }


async def test_result_that_is_gone_does_not_hide_the_job(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    lost = job_body(2, status={"result": LARGE})
    await archive.add(job_body(1, phase="failed"), lost)

    failed, gone = [(await client.get(f"/jobs/job-{it}")).json() for it in (1, 2)]
    assert (failed["error"]["reason"], failed["result"]) == ("ContentRefused", None)
    assert failed["result_error"] is None
    assert failed.items() >= (await client.get("/status/job-1")).json().items()
    assert (gone["status"], gone["result"]) == ("done", None)
    assert gone["result_error"]["reason"] == "ResultGone"


async def test_image_of_a_batch_has_its_place(client: httpx.AsyncClient, archive: Archive) -> None:
    manifest = {"folder": "f", "images": 2, "sha256": "0" * 64}
    body = batch_body(7, manifest=manifest, counted="0-1", results={"index": 1})
    await archive.add_batch(body)
    await archive.add_images(body, {"a.jpg": "A cat", "b.jpg": None}, START)

    done, failed = [(await client.get(f"/jobs/batch-7.{it}")).json() for it in (0, 1)]
    assert (done["batch"], done["index"], done["custom_id"]) == ("batch-7", 0, "a.jpg")
    assert (done["status"], done["result"]["caption"]) == ("done", "A cat")
    assert (failed["error"]["reason"], failed["result"]) == ("ImageUnreadable", None)
    missing = await client.get("/jobs/batch-7.2")
    assert (missing.status_code, missing.json()["reason"]) == (404, "JobNotFound")


async def test_export_has_live_and_archived_jobs_as_they_are_read_one_by_one(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive
) -> None:
    await archive.add(full_body(), job_body(2, phase="failed"))
    report(jobs, job_body(3), job_body(4, phase="queued"))

    exported = await lines(client)
    assert [line["job_id"] for line in exported] == ["job-4", "job-3", "job-2", "job-1"]
    for line in exported:
        cursor = line.pop("cursor")
        assert line == (await client.get(f"/jobs/{line['job_id']}")).json()
        rest = await lines(client, cursor=cursor)
        assert [it["job_id"] for it in rest] == [
            it["job_id"] for it in exported if it["created_at"] < line["created_at"]
        ]


async def test_export_says_which_results_it_lacks(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    await archive.add(job_body(2, status={"result": LARGE}))
    (line,) = await lines(client)
    assert (line["result"], line["result_error"]["reason"]) == (None, "ResultNotIncluded")
    assert "GET /result/job-2" in line["result_error"]["message"]


async def test_export_has_filters_a_limit_and_images_of_batches(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    body = batch_body(7)
    await archive.add_batch(body)
    await archive.add_images(body, {"a.jpg": "A cat", "b.jpg": None}, START + timedelta(hours=1))
    await archive.add(*(job_body(it, phase="failed" if it % 2 else "done") for it in range(1, 31)))

    failed = [line["job_id"] for line in await lines(client, phase="failed")]
    assert failed == [f"job-{it}" for it in range(29, 0, -2)]
    assert [it["job_id"] for it in await lines(client, phase="failed", limit=2)] == failed[:2]
    first, second = await lines(client, batch="batch-7")
    assert (first["job_id"], first["custom_id"], first["result"]["caption"]) == (
        "batch-7.0",
        "a.jpg",
        "A cat",
    )
    assert (second["status"], second["error"]["reason"]) == ("failed", "ImageUnreadable")
    assert [
        it["job_id"] for it in await lines(client, batch="batch-7", cursor=first["cursor"])
    ] == ["batch-7.1"]
    assert (await lines(client, q="cat", limit=1))[0]["job_id"] == "batch-7.0"
    assert await lines(client, phase="queued") == []


async def test_table_is_safe_and_has_the_columns_of_batch_results(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    formula = job_body(2, caption="=HYPERLINK(1)", file_name="+cat.png")
    await archive.add(job_body(1, phase="failed"), formula)
    response = await client.get("/jobs/export", params={"format": "csv"})
    assert response.headers["content-type"].startswith("text/csv")
    assert response.headers["content-disposition"] == 'attachment; filename="jobs.csv"'

    done, failed = csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"), newline=""))
    cursor = done.pop("cursor")
    assert done == {
        "customId": "",
        "file": "'+cat.png",
        "phase": "done",
        "caption": "'=HYPERLINK(1)",
        "alt": "Photo: =HYPERLINK(1)",
        "tags": "",
        "text": "",
        "error": "",
        "job_id": "job-2",
        "describer": "local",
        "created_at": "2026-01-01T00:00:02Z",
        "completed_at": "2026-01-01T00:00:03Z",
        "labels": "",
    }
    assert failed["error"] == "ContentRefused: the describer refused it"
    rest = await client.get("/jobs/export", params={"format": "csv", "cursor": cursor})
    assert [row[8] for row in csv.reader(io.StringIO(rest.text, newline=""))] == ["job-1"]


async def test_table_has_labels_as_a_submission_takes_them(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    await archive.add(full_body())
    response = await client.get("/jobs/export", params={"format": "csv"})
    names, row = csv.reader(io.StringIO(response.content.decode("utf-8-sig"), newline=""))
    assert names[-1] == "labels"
    assert row[-1] == "vision-node.dev/owner=ada,team=web"


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
async def test_export_that_breaks_off_is_recognized_and_resumed(
    client: httpx.AsyncClient,
    port: int,
    archive: Archive,
    reader: HistoryReader,
    monkeypatch: pytest.MonkeyPatch,
    format_: str,
) -> None:
    monkeypatch.setattr(job_export, "PAGE_JOBS", 2)
    await archive.add(*(job_body(it) for it in range(1, 6)))
    list_jobs, calls = reader.list_jobs, iter([True, False])

    async def fail_later(*args: Any) -> Any:
        if next(calls):
            return await list_jobs(*args)
        raise HistoryUnavailableError("gone")

    monkeypatch.setattr(reader, "list_jobs", fail_later)
    async with Connection.open(port) as connection:
        path = f"/jobs/export?format={format_}".encode()
        await connection.send(b"GET " + path + b" HTTP/1.1\r\nHost: api\r\n\r\n")
        received = (await connection.ended()).decode()

    assert not received.endswith("0\r\n\r\n")
    assert "HistoryUnavailable" in received
    assert ("job-4" in received, "job-3" in received) == (True, False)
    monkeypatch.setattr(reader, "list_jobs", list_jobs)
    if format_ == "jsonl":
        last = json.loads([it for it in received.splitlines() if it.startswith("{")][-1])
        rest = await lines(client, cursor=last["cursor"])
        assert [line["job_id"] for line in rest] == ["job-3", "job-2", "job-1"]


async def test_problem_before_the_first_job_is_the_response(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    invalid = await client.get("/jobs/export", params={"cursor": "x"})
    assert (invalid.status_code, invalid.json()["reason"]) == (400, "InvalidCursor")

    monkeypatch.setattr(app.state.job_export.streams, "_limit", 0)
    busy = await client.get("/jobs/export")
    assert (busy.status_code, busy.json()["reason"]) == (429, "TooManyStreams")


async def test_export_without_jobs_is_complete(client: httpx.AsyncClient) -> None:
    assert (await client.get("/jobs/export")).text == ""
    table = (await client.get("/jobs/export", params={"format": "csv"})).content
    assert table.decode("utf-8-sig").startswith("customId,file,phase,")
