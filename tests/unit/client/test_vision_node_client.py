"""Tests of the library: both clients, against a fake server on a socket."""

import asyncio
import io
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from client_helpers import JPEG, NAMES, QUICK
from fakes.vision_node_server import VisionNodeServer
from vision_node_client import (
    AsyncVisionNode,
    JobFailedError,
    ProblemError,
    ProtocolError,
    Retries,
    UnreachableError,
    VisionNode,
    WaitTimeoutError,
)


def test_image_is_described(node: Any, server: VisionNodeServer, folder: Path) -> None:
    path = folder / NAMES[-1]
    found = node.describe(path, describer="local", max_length=100, text=False)

    assert str(found) == "Image Description:\nA cat."
    assert (found.caption, found.alt, found.tags) == ("A cat.", "Cat", ("cat", "pet"))
    assert server.options == {"job-0": {"describer": "local", "maxLength": "100", "text": "false"}}
    assert server.file_names == ["attachment; filename*=UTF-8''%C3%A4%20%252F%3F%23.png"]


def test_labels_and_priority_are_sent(node: Any, server: VisionNodeServer) -> None:
    labels = {"team": "web", "example.com/tier": "gold"}
    node.submit(JPEG, labels=labels, priority=-5)
    assert server.options == {
        "job-0": {"labels": "team=web,example.com/tier=gold", "priority": "-5"}
    }

    node.create_upload(labels=labels, priority=100)
    assert server.only_batch.spec == {"upload": {}, "labels": labels, "priority": 100}


def test_result_is_reused(node: Any, server: VisionNodeServer) -> None:
    first, again = (node.submit(JPEG, reuse=True) for _ in range(2))
    assert (first.id, first.status, first.reused) == ("job-0", "queued", False)
    assert (again.id, again.status, again.reused) == ("job-0", "done", True)

    assert node.describe(JPEG, reuse=True).caption == "A cat."
    assert server.count("GET /status") == 0
    # The server has sent it at once, because the client prefers to wait.
    assert server.count("GET /result/job-0") == 0


def test_batch_has_no_option_reuse(node: Any) -> None:
    with pytest.raises(TypeError, match="there is no option reuse"):
        node.create_upload(reuse=True)
    with pytest.raises(TypeError, match="there is no option parallelism"):
        node.submit(JPEG, parallelism=1)


@pytest.mark.parametrize("kind", ["bytes", "file", "text"])
def test_image_may_be_bytes_a_file_or_a_path(
    node: Any, server: VisionNodeServer, folder: Path, kind: str
) -> None:
    path = folder / "0.jpg"
    data = path.read_bytes()
    images = {"bytes": data, "file": io.BytesIO(data), "text": str(path)}

    job = node.submit(images[kind])
    assert node.wait(job).status == "done"
    assert node.wait(job.id).finished
    assert node.result(job).caption == "A cat."
    assert server.jobs == {"job-0": data}


def test_failed_job_says_why(node: Any, server: VisionNodeServer) -> None:
    server.failing.add((JPEG + b"x").decode("latin-1"))
    with pytest.raises(JobFailedError, match="ImageUnreadable: it is damaged") as caught:
        node.describe(JPEG + b"x")
    assert (caught.value.job_id, caught.value.reason) == ("job-0", "ImageUnreadable")


def test_refusal_is_a_problem_with_a_reason(node: Any) -> None:
    with pytest.raises(ProblemError, match="UnsupportedFormat is the reason") as caught:
        node.describe(b"text")

    assert (caught.value.status, caught.value.reason) == (415, "UnsupportedFormat")
    assert caught.value.concerns_image


def test_missing_file_and_unknown_option_are_errors_of_python(node: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        node.describe(tmp_path / "missing.jpg")
    with pytest.raises(TypeError, match="there is no option colour"):
        node.describe(b"", colour="red")


def test_waiting_ends_after_the_timeout(node: Any, server: VisionNodeServer) -> None:
    batch = node.create_upload()
    with pytest.raises(WaitTimeoutError, match="still queued"):
        node.wait_batch(batch.name, timeout=0.05)


def test_describers_are_listed(node: Any) -> None:
    (found,) = node.describers()
    assert (found.name, found.ready, found.default) == ("local", True, True)


def test_folder_becomes_a_batch(node: Any, server: VisionNodeServer, folder: Path) -> None:
    (folder / "bad.gif").write_bytes(b"text")
    server.failing.add("3.jpg")
    created = node.create_batch(folder=folder, name="trip", language="de", ttl_seconds=60)

    assert created.images == len(NAMES)
    assert [(it.file, it.reason) for it in created.refused] == [("bad.gif", "UnsupportedFormat")]
    batch = server.only_batch
    assert sorted(batch.images) == NAMES
    assert batch.images["0.jpg"] == JPEG + b"0"
    assert batch.spec == {
        "upload": {},
        "name": "trip",
        "options": {"language": "de"},
        "ttlSecondsAfterFinished": 60,
    }

    results = list(node.results("trip", follow=True))
    assert sorted(it.custom_id for it in results) == NAMES
    (failed,) = (it for it in results if it.error)
    assert (failed.custom_id, failed.error.reason) == ("3.jpg", "ImageUnreadable")
    assert node.wait_batch("trip").images.failed == 1
    assert [it.custom_id for it in node.results("trip", phase="failed")] == ["3.jpg"]


def test_files_become_a_batch(node: Any, server: VisionNodeServer, folder: Path) -> None:
    node.create_batch(files=[folder / "0.jpg", folder / "1.jpg"], name="paths")
    node.create_batch(files={"a/b.jpg": JPEG, "c.jpg": folder / "1.jpg"}, name="mapping")

    assert sorted(server.batches["paths"].images) == ["0.jpg", "1.jpg"]
    assert sorted(server.batches["mapping"].images) == ["a/b.jpg", "c.jpg"]
    with pytest.raises(ValueError, match=r"two files are called '0\.jpg'"):
        node.create_batch(files=[folder / "0.jpg", folder / "0.jpg"])


@pytest.mark.parametrize("source", ["prefix", "manifest"])
def test_images_in_the_bucket_become_a_batch(
    node: Any, server: VisionNodeServer, source: str
) -> None:
    node.create_batch(**{source: "inbox/trip/"}, name="trip")
    assert server.only_batch.spec == {source: "inbox/trip/", "name": "trip"}
    assert [it.custom_id for it in node.results("trip")] == ["in-bucket.jpg"]


def test_batch_has_exactly_one_source(node: Any, folder: Path, tmp_path: Path) -> None:
    for sources in ({}, {"folder": folder, "prefix": "inbox/"}):
        with pytest.raises(TypeError, match="exactly one"):
            node.create_batch(**sources)

    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no images"):
        node.create_batch(folder=tmp_path / "empty")


def test_batch_is_controlled(node: Any, server: VisionNodeServer) -> None:
    names = [node.create_batch(prefix="inbox/", name=f"b{number}").name for number in range(4)]
    assert [it.name for it in node.batches()] == names

    assert node.suspend("b0").suspended
    assert not node.resume("b0").suspended
    assert node.cancel("b0").error.reason == "Cancelled"
    node.delete("b0")
    with pytest.raises(ProblemError, match="BatchNotFound"):
        node.batch("b0")
    with pytest.raises(ValueError, match="no name"):
        node.batch("..")


def test_failed_images_are_retried(node: Any, server: VisionNodeServer, folder: Path) -> None:
    server.failing.add("3.jpg")
    name = node.create_batch(folder=folder).name
    server.failing.clear()

    retried = [node.retry(name, key="k"), node.retry(name, key="k")]
    assert retried[0] == retried[1]
    assert [it.custom_id for it in node.results(retried[0].name)] == ["3.jpg"]


def test_parts_can_be_resumed(node: Any, server: VisionNodeServer, folder: Path) -> None:
    name = node.create_batch(folder=folder).name
    parts = list(node.result_parts(name))
    assert [part.after for part in parts] == [1, 2, 3]
    assert list(node.result_parts(name, after=1)) == parts[1:]


@pytest.mark.parametrize("lines", range(6))
def test_each_result_is_given_once_if_the_stream_breaks_off(
    node: Any, server: VisionNodeServer, folder: Path, lines: int
) -> None:
    name = node.create_batch(folder=folder).name
    server.break_after_lines = lines

    found = [it.custom_id for it in node.results(name, follow=True)]
    assert sorted(found) == NAMES
    assert server.count(rf"after={lines // 2}&") >= 1


def test_deleted_batch_ends_its_results(node: Any) -> None:
    with pytest.raises(ProblemError, match="BatchNotFound"):
        list(node.results("gone"))


def test_results_may_contain_every_character(
    node: Any, server: VisionNodeServer, folder: Path
) -> None:
    server.caption = "a\u2028b\u0085c\x1cd\x00\U0001f408"
    name = node.create_batch(folder=folder).name
    assert {it.description.caption for it in node.results(name)} == {server.caption}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_overload_is_retried(node: Any, server: VisionNodeServer, status: int) -> None:
    server.fail("POST /submit", status, reason=None, count=2)
    assert node.describe(JPEG).caption == "A cat."
    assert server.count("POST /submit") == 3


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
def test_refusal_is_not_retried(node: Any, server: VisionNodeServer, status: int) -> None:
    server.fail("GET /describers", status, count=9)
    with pytest.raises(ProblemError) as caught:
        node.describers()

    assert (caught.value.status, caught.value.reason) == (status, "Broken")
    assert server.count("GET /describers") == 1


def test_retries_are_capped(node: Any, server: VisionNodeServer) -> None:
    server.fail("GET /describers", 503, count=9)
    with pytest.raises(ProblemError):
        node.describers()
    assert server.count("GET /describers") == QUICK.attempts


def test_problem_of_the_content_is_not_retried(node: Any, server: VisionNodeServer) -> None:
    server.fail("GET /result", 502, reason="ResultChanged", count=9)
    with pytest.raises(ProblemError, match="ResultChanged"):
        node.result("job-0")
    assert server.count("GET /result") == 1


def test_retry_after_is_obeyed(node: Any, server: VisionNodeServer) -> None:
    server.fail("GET /describers", 429, Retry_After="1")
    started = time.monotonic()
    node.describers()
    assert time.monotonic() - started >= 1


def test_long_retry_after_is_left_to_the_caller(node: Any, server: VisionNodeServer) -> None:
    server.fail("GET /describers", 429, Retry_After="Wed, 21 Oct 2099 07:28:00 GMT")
    with pytest.raises(ProblemError):
        node.describers()


def test_repeated_submission_has_the_same_key(server: VisionNodeServer) -> None:
    server.hold("POST /submit")
    with VisionNode(server.url, timeout=0.5, retries=QUICK) as impatient:
        job = impatient.submit(JPEG)

    assert server.count("POST /submit") == 2
    assert (job.id, list(server.jobs)) == ("job-0", ["job-0"])


def test_pauses_grow_are_random_and_have_a_limit() -> None:
    least, most = Retries(9, randomness=lambda: 0.0), Retries(9, randomness=lambda: 1.0)
    assert [least.pause(it) for it in (1, 2, 3, 8)] == [0.25, 0.5, 1, 30]
    assert [most.pause(it) for it in (1, 2, 3, 8)] == [0.75, 1.5, 3, 30]
    assert most.pause(1, retry_after=10) == 11
    assert least.pause(9) is None
    assert least.pause(1, retry_after=31) is None


@pytest.mark.parametrize("kind", [VisionNode, AsyncVisionNode])
@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", ""])
def test_url_must_be_one_of_http(kind: type, url: str) -> None:
    with pytest.raises(ValueError, match="is not an http or https URL"):
        kind(url)
    with pytest.raises(ValueError, match="positive number of seconds"):
        kind("http://host", timeout=0)


def test_unreachable_server_is_a_connection_error() -> None:
    url = "http://user:secret@127.0.0.1:1/base"
    with (
        VisionNode(url, retries=QUICK) as node,
        pytest.raises(ConnectionError, match=r"^http://127\.0\.0\.1:1/base does not") as caught,
    ):
        node.describers()

    assert isinstance(caught.value, UnreachableError)


def test_silent_server_is_unreachable() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        VisionNode(
            f"http://127.0.0.1:{listening.getsockname()[1]}", 0.1, Retries(attempts=1)
        ) as node,
        pytest.raises(UnreachableError, match=r"ReadTimeout|timed out"),
    ):
        node.describers()


def test_another_server_is_recognized(node: Any, server: VisionNodeServer) -> None:
    server.fail("GET /describers", 200, reason=None)
    with pytest.raises(ProtocolError, match="check the URL"):
        node.describers()

    server.fail("GET /describers", 404, reason=None)
    with pytest.raises(ProblemError, match=r"NotFound: http://.*/describers responded with 404"):
        node.describers()


async def test_async_client_works_in_a_running_loop_and_does_not_block_it(
    server: VisionNodeServer, folder: Path
) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    async with AsyncVisionNode(server.url) as node:
        ticking = asyncio.create_task(tick())
        found = await asyncio.gather(*(node.describe(folder / f"{it}.jpg") for it in range(5)))
        created = await node.create_batch(folder=folder)
        results = [it async for it in node.results(created.name, follow=True)]
        ticking.cancel()

    assert {it.caption for it in found} == {"A cat."}
    assert len(results) == len(NAMES)
    assert ticks > 5


async def test_sync_client_can_be_used_by_threads_and_within_a_running_loop(
    server: VisionNodeServer, folder: Path
) -> None:
    with VisionNode(server.url) as node:
        found = await asyncio.gather(*(asyncio.to_thread(node.describe, JPEG) for _ in range(5)))
        assert len(found) == 5
        assert node.describe(JPEG).caption == "A cat."


async def test_cancelled_wait_leaves_no_connection(server: VisionNodeServer) -> None:
    async with AsyncVisionNode(server.url) as node:
        name = (await node.create_upload()).name
        waiting = asyncio.create_task(node.wait_batch(name))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await node.batch(name)).status == "queued"


def test_first_error_ends_an_upload(node: Any, server: VisionNodeServer, folder: Path) -> None:
    server.fail("PUT", 403, count=99)
    with pytest.raises(ProblemError, match="Broken"):
        node.create_batch(folder=folder)
    assert not server.only_batch.started
    assert server.count("PUT") <= 4


def test_deletion_whose_answer_is_lost_succeeds(server: VisionNodeServer) -> None:
    with VisionNode(server.url, timeout=0.5, retries=QUICK) as impatient:
        name = impatient.create_upload().name
        server.hold("DELETE")
        impatient.delete(name)
        assert server.batches == {}
        with pytest.raises(ProblemError, match="BatchNotFound"):
            impatient.delete(name)


def test_cancellation_whose_answer_is_lost_returns_the_state(server: VisionNodeServer) -> None:
    with VisionNode(server.url, timeout=0.5, retries=QUICK) as impatient:
        name = impatient.create_upload().name
        server.hold("POST .*/cancel")
        server.fail("POST .*/cancel", 409, reason="BatchFinished", count=2)
        assert impatient.cancel(name).status == "failed"
        with pytest.raises(ProblemError, match="BatchFinished"):
            impatient.cancel(name)
