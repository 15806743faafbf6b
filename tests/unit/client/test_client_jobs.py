"""Tests of finding jobs: lists, searches and exports, with both clients and the command."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from client_helpers import JPEG, QUICK, vision_node
from fakes.vision_node_server import VisionNodeServer
from vision_node_client import ProblemError, UnreachableError
from vision_node_client.cli.exit_codes import ExitCode

FAILING = {1, 2, 3, 6}
"""Numbers of the jobs that have failed."""


@pytest.fixture(autouse=True)
def eight_jobs(server: VisionNodeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has eight jobs. Pages have three, so one page has no job that is done."""
    monkeypatch.setenv("VISION_NODE_URL", server.url)
    monkeypatch.setattr("vision_node_client.sync_client.Retries", lambda: QUICK)
    for number in range(8):
        server.jobs[f"job-{number}"] = JPEG + b"%d" % number
        if number in FAILING:
            server.failing.add((JPEG + b"%d" % number).decode("latin-1"))


def query_of(request: str) -> list[tuple[str, str]]:
    """Return the query of a request that the server has received."""
    return parse_qsl(urlsplit(request.split()[1]).query)


def test_jobs_are_listed_over_all_pages(node: Any) -> None:
    every = list(node.jobs())
    assert [it.id for it in every] == [f"job-{it}" for it in range(8)]
    assert (every[0].status, every[0].caption, every[0].error) == ("done", "A cat.", None)
    assert every[1].error.reason == "ImageUnreadable"

    done = [it.id for it in node.jobs(phase="done")]
    assert done == [f"job-{it}" for it in range(8) if it not in FAILING]


def test_filters_are_sent(node: Any, server: VisionNodeServer) -> None:
    list(
        node.jobs(
            q="red car",
            phase=["done", "failed"],
            labels={"team": "web", "tier": "gold"},
            after=datetime(2026, 1, 1, tzinfo=UTC),
            before="2026-02-01T00:00:00Z",
            batch=None,
        )
    )
    assert sorted(query_of(server.requests[0])) == [
        ("after", "2026-01-01T00:00:00+00:00"),
        ("before", "2026-02-01T00:00:00Z"),
        ("label", "team=web"),
        ("label", "tier=gold"),
        ("phase", "done"),
        ("phase", "failed"),
        ("q", "red car"),
    ]


def test_invalid_filters_are_errors_of_python(node: Any) -> None:
    with pytest.raises(TypeError, match="there is no filter colour"):
        list(node.jobs(colour="red"))
    with pytest.raises(ValueError, match="has no time zone"):
        list(node.export(after=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_job_has_everything(node: Any) -> None:
    done, failed = node.job("job-0"), node.job("job-1")
    assert (done.id, done.status, done.description.caption) == ("job-0", "done", "A cat.")
    assert done.document["image"] == {"file_name": "=cat.jpg"}
    assert (failed.error.reason, failed.description) == ("ImageUnreadable", None)
    with pytest.raises(ProblemError, match="JobNotFound"):
        node.job("job-9")


def test_export_is_resumed_if_it_breaks_off(node: Any, server: VisionNodeServer) -> None:
    server.break_after_lines = 2
    exported = list(node.export(phase="failed", limit=3))
    assert [it.id for it in exported] == ["job-1", "job-2", "job-3"]
    requests = [dict(query_of(it)) for it in server.requests]
    assert requests == [
        {"phase": "failed", "limit": "3"},
        {"phase": "failed", "cursor": "3", "limit": "1"},
    ]

    rest = list(node.export(cursor=exported[1].cursor))
    assert [it.id for it in rest] == [f"job-{it}" for it in range(3, 8)]
    with pytest.raises(ProblemError, match="InvalidCursor"):
        list(node.export(cursor="nonsense"))


def test_stream_that_ends_within_a_line_is_not_complete(
    node: Any, server: VisionNodeServer
) -> None:
    server.fail("GET /jobs/export", 200, reason=None, count=99)
    with pytest.raises(UnreachableError, match="ended within a line"):
        list(node.export())


def test_command_prints_a_table(capfd: pytest.CaptureFixture[str]) -> None:
    assert vision_node("jobs", "--phase", "failed", "--limit", "2") == 0
    header, *rows = capfd.readouterr().out.splitlines()
    assert header.split()[:4] == ["ID", "STATUS", "DESCRIBER", "CREATED"]
    assert [row.split()[0] for row in rows] == ["job-1", "job-2"]
    assert "ImageUnreadable: it is damaged" in rows[0]


def test_command_exports_json_and_csv(
    server: VisionNodeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    filters = ("--q", "red car", "--label", "team=web", "--phase", "failed")
    assert vision_node("jobs", "--json", *filters) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [it["job_id"] for it in lines] == [f"job-{it}" for it in sorted(FAILING)]
    query = query_of(server.requests[0])
    assert query == [("q", "red car"), ("phase", "failed"), ("label", "team=web")]

    assert vision_node("jobs", "--csv", "--limit", "2") == 0
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out.lstrip("\ufeff"), newline="")))
    assert [(row["job_id"], row["phase"], row["file"]) for row in rows] == [
        ("job-0", "done", "'=cat.jpg"),
        ("job-1", "failed", "'=cat.jpg"),
    ]
    assert rows[0] | {"cursor": ""} == {
        "customId": "",
        "file": "'=cat.jpg",
        "phase": "done",
        "caption": "A cat.",
        "alt": "Cat",
        "tags": "cat, pet",
        "text": "",
        "error": "",
        "job_id": "job-0",
        "describer": "local",
        "created_at": "2026-01-08T09:30:00Z",
        "completed_at": "2026-01-08T09:30:01Z",
        "cursor": "",
    }


def test_command_prints_a_job(capfd: pytest.CaptureFixture[str]) -> None:
    assert vision_node("job", "job-0") == 0
    assert json.loads(capfd.readouterr().out)["result"]["caption"] == "A cat."
    assert vision_node("job", "job-1") == ExitCode.FAILED
    assert vision_node("job", "job-9") == ExitCode.REFUSED


@pytest.mark.parametrize(
    "arguments", [("--label", "team"), ("--limit", "0"), ("--csv", "--json"), ("--phase", "x")]
)
def test_invalid_arguments_are_usage_errors(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        vision_node("jobs", *arguments)
    assert caught.value.code == ExitCode.USAGE
