"""Tests of cancelling, retrying and deleting jobs with both clients and with the command."""

from datetime import UTC, datetime
from typing import Any

import pytest
from client_helpers import JPEG, QUICK, vision_node
from fakes.vision_node_server import VisionNodeServer
from vision_node_client import Callback, Job, NotRetriedJob, ProblemError, RetriedJob
from vision_node_client.cli.exit_codes import ExitCode


@pytest.fixture
def job(node: Any) -> Job:
    """A job, submitted by the client that the test uses."""
    found: Job = node.submit(JPEG)
    return found


def test_job_is_cancelled(server: VisionNodeServer, node: Any, job: Job) -> None:
    for it in (job, job.id):
        assert node.cancel_job(it) == Job(job.id, "processing", "local")
    assert server.cancelled == {job.id}

    with pytest.raises(ProblemError) as caught:
        node.cancel_job("unknown")
    assert (caught.value.status, caught.value.reason) == (404, "JobNotFound")


def test_job_is_retried_with_changes(server: VisionNodeServer, node: Any, job: Job) -> None:
    new = node.retry_job(job, describer="openai", max_length=9, prompt=None)
    assert (new.id, new.status) == ("job-1", "queued")
    (sent,) = server.retries
    assert sent == {"describer": "openai", "maxLength": 9, "key": sent["key"]}


def test_lost_answer_creates_no_second_job(server: VisionNodeServer, node: Any, job: Job) -> None:
    server.fail("POST /jobs/job-0/retry", 503)
    assert node.retry_job(job).id == "job-1"
    assert node.retry_job(job, key="k").id == node.retry_job(job, key="k").id
    assert len(server.jobs) == 3


def test_message_is_sent_again(server: VisionNodeServer, node: Any, job: Job) -> None:
    expected = Callback("pending", 0, None, "2026-01-01T00:00:00Z", None)
    for it in (job, job.id):
        assert node.redeliver(it) == expected
    assert node.redeliver(batch="holiday") == expected
    path = f"/jobs/{job.id}/callback/redeliver"
    assert server.redelivered == [path, path, "/batches/holiday/callback/redeliver"]

    server.fail(f"POST {path}", 503)
    assert node.redeliver(job) == expected
    with pytest.raises(ProblemError):
        node.redeliver("unknown")


@pytest.mark.parametrize("wanted", [{}, {"job": "job-0", "batch": "holiday"}])
def test_either_a_job_or_a_batch_is_redelivered(node: Any, wanted: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="either a job or a batch"):
        node.redeliver(**wanted)


def test_job_is_deleted(server: VisionNodeServer, node: Any, job: Job) -> None:
    node.delete_job(job)
    assert server.jobs == {}
    with pytest.raises(ProblemError):
        node.delete_job(job)


def test_all_failed_jobs_are_retried(server: VisionNodeServer, node: Any) -> None:
    found = node.retry_failed("NoWorker", key="k")
    assert found.retried == (RetriedJob("job-9", "job-4"), RetriedJob("job-8", "job-3"))
    assert [it.id for it in found.failed] == ["job-5"]
    assert found.next_cursor is None
    assert [it.get("cursor") for it in server.retries] == [None, "more"]


def test_error_after_some_failed_jobs_were_retried(server: VisionNodeServer, node: Any) -> None:
    server.fail("POST /jobs/retry", 422, skipped=1, count=99)
    found = node.retry_failed("NoWorker")
    assert found.retried == (RetriedJob("job-9", "job-4"),)
    assert found.next_cursor == "more"


def test_failed_jobs_are_retried(server: VisionNodeServer, node: Any) -> None:
    found = node.retry_failed(
        "NoWorker",
        of_describer="local",
        after=datetime(2026, 1, 1, tzinfo=UTC),
        limit=2,
        key="k",
        describer="openai",
    )
    assert found.retried == (RetriedJob("job-9", "job-4"),)
    assert found.failed == (NotRetriedJob("job-5", "ImageGone", "The image was deleted."),)
    rest = node.retry_failed("NoWorker", cursor=found.next_cursor)
    assert (rest.retried, rest.next_cursor) == ((RetriedJob("job-8", "job-3"),), None)

    first, second = server.retries
    after = datetime.fromisoformat(first.pop("after"))
    assert after == datetime(2026, 1, 1, tzinfo=UTC)
    assert first == {
        "reason": "NoWorker",
        "describer": "local",
        "limit": 2,
        "changes": {"describer": "openai"},
        "key": "k",
    }
    assert second == {"reason": "NoWorker", "cursor": "more", "changes": {}, "key": None}


@pytest.fixture
def command(server: VisionNodeServer, monkeypatch: pytest.MonkeyPatch) -> VisionNodeServer:
    """VISION_NODE_URL names the fake server, which has two jobs."""
    monkeypatch.setenv("VISION_NODE_URL", server.url)
    monkeypatch.setattr("vision_node_client.sync_client.Retries", lambda: QUICK)
    server.jobs = {"job-0": JPEG, "job-1": JPEG + b"1"}
    return server


def test_commands_act_on_several_jobs(
    command: VisionNodeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert vision_node("cancel", "job-0", "job-1") == ExitCode.DONE
    assert vision_node("retry", "job-0", "--describer", "openai", "--no-text") == ExitCode.DONE
    assert vision_node("redeliver", "job-1") == ExitCode.DONE
    assert vision_node("delete", "job-0", "job-1") == ExitCode.DONE
    assert capfd.readouterr().out.splitlines() == [
        *("job-0 processing", "job-1 processing"),
        "job-2 job-0",
        "job-1 pending",
        *("job-0", "job-1"),
    ]
    assert command.retries[0]["describer"] == "openai"
    assert command.retries[0]["text"] is False


@pytest.mark.parametrize("action", ["cancel", "retry", "redeliver", "delete"])
def test_refusal_does_not_stop_the_others(
    command: VisionNodeServer, capfd: pytest.CaptureFixture[str], action: str
) -> None:
    assert vision_node(action, "unknown", "job-0") == ExitCode.REFUSED
    printed = capfd.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert printed.err == "error: unknown: JobNotFound: JobNotFound is the reason\n"


def test_outage_stops_the_command(
    command: VisionNodeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    command.fail("DELETE", 503, count=9)
    assert vision_node("delete", "job-0", "job-1") == ExitCode.UNREACHABLE
    assert command.count("DELETE /jobs/job-1") == 0


def test_all_failed_jobs_are_retried_page_by_page(
    command: VisionNodeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--reason", "NoWorker", "--of-describer", "local", "--after", "2026-01-31")
    assert vision_node("retry", *arguments) == ExitCode.REFUSED
    printed = capfd.readouterr()
    assert printed.out.splitlines() == ["job-9 job-4", "job-8 job-3"]
    assert printed.err == "error: job-5: ImageGone: The image was deleted.\n"
    assert [it.get("cursor") for it in command.retries] == [None, "more"]
    assert command.retries[0]["after"].startswith("2026-01-31T00:00:00")


@pytest.mark.parametrize(
    "arguments", [(), ("job-0", "--reason", "NoWorker"), ("--reason", "X", "--after", "soon")]
)
def test_invalid_arguments(command: VisionNodeServer, arguments: tuple[str, ...]) -> None:
    try:
        code = vision_node("retry", *arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    assert code == ExitCode.USAGE
    assert command.retries == []
