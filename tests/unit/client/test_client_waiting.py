"""Tests of clients that let the server wait, and of servers and proxies that do not."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from client_helpers import JPEG
from fakes.vision_node_server import VisionNodeServer
from vision_node_client import JobFailedError, WaitTimeoutError
from vision_node_client.protocol import flows

TIMEOUT_SECONDS = 10.0


def finish_when(server: VisionNodeServer, condition: Callable[[], bool]) -> threading.Thread:
    """Finish all jobs of the server once the condition is true."""

    def finish() -> None:
        end = time.monotonic() + TIMEOUT_SECONDS
        while not condition() and time.monotonic() < end:
            time.sleep(0.005)
        server.unfinished = False

    thread = threading.Thread(target=finish, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def patient(server: VisionNodeServer) -> VisionNodeServer:
    """A server that waits, and whose jobs are still being described."""
    server.waits = server.unfinished = True
    return server


def test_describing_takes_one_request(node: Any, patient: VisionNodeServer) -> None:
    finish_when(patient, lambda: bool(patient.prefers))
    assert node.describe(JPEG).caption == "A cat."
    assert patient.requests == ["POST /submit"]
    assert patient.prefers == ["wait=25"]


def test_error_of_a_job_is_in_the_response_to_its_submission(
    node: Any, patient: VisionNodeServer
) -> None:
    patient.failing = {JPEG.decode("latin-1")}
    finish_when(patient, lambda: bool(patient.prefers))
    with pytest.raises(JobFailedError) as caught:
        node.describe(JPEG)

    assert caught.value.reason == "ImageUnreadable"
    assert patient.requests == ["POST /submit"]


def test_job_that_is_submitted_without_waiting_is_waited_for_in_one_request(
    node: Any, patient: VisionNodeServer
) -> None:
    job = node.submit(JPEG)
    assert (job.status, patient.prefers) == ("queued", [])

    finish_when(patient, lambda: bool(patient.prefers))
    assert node.wait(job).status == "done"
    assert patient.count("GET /status") == 1


def test_server_that_waits_is_asked_again_at_once(
    node: Any, patient: VisionNodeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows, "FIRST_PAUSE_SECONDS", 1.0)
    patient.jobs["job-0"] = JPEG
    begun = time.monotonic()
    with pytest.raises(WaitTimeoutError, match=r"/status/job-0 is still processing after 1.5 s"):
        node.wait("job-0", timeout=1.5)

    assert patient.prefers == ["wait=1"]
    assert time.monotonic() - begun < 10


def test_batch_is_waited_for(node: Any, patient: VisionNodeServer) -> None:
    name = node.create_batch(files={"a.jpg": JPEG}).name

    def finish() -> bool:
        if patient.prefers:
            patient.batches[name].status = "done"
        return bool(patient.prefers)

    finish_when(patient, finish)
    assert node.wait_batch(name).status == "done"
    assert patient.count(f"GET /batches/{name}$") == 1


def test_older_server_is_polled(node: Any, server: VisionNodeServer) -> None:
    server.unfinished = True
    finish_when(server, lambda: server.count("GET /status") >= 3)
    begun = time.monotonic()
    assert node.describe(JPEG).caption == "A cat."
    # Without pauses, there would be hundreds of polls in this time.
    elapsed = time.monotonic() - begun
    assert 3 <= server.count("GET /status") <= 2 + elapsed / flows.FIRST_PAUSE_SECONDS
    assert set(server.prefers) == {"wait=25"}


@pytest.mark.parametrize("status", [502, 504])
def test_submission_that_a_proxy_cuts_is_repeated_once_and_then_polled(
    node: Any, patient: VisionNodeServer, status: int
) -> None:
    patient.fail("POST /submit", status, reason=None)
    finish_when(patient, lambda: patient.count("GET /status") >= 2)
    assert node.describe(JPEG).caption == "A cat."
    assert patient.count("POST /submit") == 2
    assert patient.prefers == []


def test_poll_that_a_proxy_cuts_is_followed_by_polls_that_do_not_wait(
    node: Any, patient: VisionNodeServer
) -> None:
    job = node.submit(JPEG)
    patient.fail("GET /status", 504, reason=None)
    finish_when(patient, lambda: patient.count("GET /status") >= 4)
    assert node.wait(job).status == "done"
    assert patient.prefers == []


def test_time_to_wait_does_not_count_as_a_lost_connection(
    server: VisionNodeServer, patient: VisionNodeServer, node: Any
) -> None:
    """The clients of the tests give up after 5 s without data; here, the server needs longer."""
    job = node.submit(JPEG)
    begun = time.monotonic()
    finish_when(patient, lambda: time.monotonic() - begun > 5.5)
    assert node.wait(job).status == "done"
    assert server.count("GET /status") == 1
