"""Tests of a folder whose description is interrupted, and continued by the same command."""

import json
import signal
import time
from pathlib import Path

import pytest
from client_helpers import JPEG, NAMES, QUICK, journal_of, lines_of, names_in, started, vision_node
from fakes.vision_node_server import VisionNodeServer

SECONDS = 20
"""Maximum seconds for what a test waits for."""


@pytest.fixture(autouse=True)
def server_variable(server: VisionNodeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """VISION_NODE_URL names the fake server."""
    monkeypatch.setenv("VISION_NODE_URL", server.url)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the results are written."""
    return tmp_path / "results.jsonl"


def interrupt(
    server: VisionNodeServer, pattern: str, skipped: int, *arguments: object, by: signal.Signals
) -> int:
    """Start a run, and end it by a signal when a matching request has been handled.

    The client has not got the response. Return the exit code.
    """
    fault = server.hold(pattern, skipped=skipped)
    with started(*arguments) as process:
        assert fault.reached.wait(SECONDS), pattern
        process.send_signal(by)
        process.wait(SECONDS)

    return process.returncode


@pytest.mark.parametrize(
    ("pattern", "skipped"),
    [
        ("POST /batches$", 0),
        ("PUT ", 0),
        ("PUT ", 2),
        ("PUT ", 5),
        ("POST .*/start", 0),
        ("GET .*/results", 0),
        ("GET /batches/batch-0$", 0),
    ],
)
def test_killed_run_is_continued_and_nothing_happens_twice(
    server: VisionNodeServer, folder: Path, out: Path, pattern: str, skipped: int
) -> None:
    arguments = ("describe", folder, "--out", out)
    assert interrupt(server, pattern, skipped, *arguments, by=signal.SIGKILL) == -signal.SIGKILL

    assert vision_node(*arguments) == 0
    assert names_in(out) == NAMES
    assert server.puts == dict.fromkeys(NAMES, 1)
    assert sorted(server.only_batch.images) == NAMES


def test_run_that_is_killed_while_it_follows_is_continued(
    server: VisionNodeServer, folder: Path, out: Path
) -> None:
    server.part_size, server.part_limit = 1, 2
    with started("describe", folder, "--out", out) as process:
        wait_for_lines(out, 2)
        process.kill()
    assert len(lines_of(out)) == 2

    server.part_limit = None
    assert vision_node("describe", folder, "--out", out) == 0
    assert names_in(out) == NAMES
    assert server.puts == dict.fromkeys(NAMES, 1)


def wait_for_lines(path: Path, count: int) -> None:
    deadline = time.monotonic() + SECONDS
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline, f"{path} never had {count} lines"
        time.sleep(0.01)


def test_lines_that_the_journal_does_not_count_are_written_again(
    server: VisionNodeServer, folder: Path, out: Path
) -> None:
    """As after a kill between the two writes, or in the middle of the first one."""
    server.part_size, server.part_limit = 1, 2
    interrupted = ("describe", folder, "--out", out)
    with started(*interrupted) as process:
        wait_for_lines(out, 2)
        process.send_signal(signal.SIGINT)
        process.wait(SECONDS)
    assert journal_of(out)["after"] == 2
    with out.open("ab") as file:
        file.write(b'{"index":3,"customId":"2.jpg","result":{}}\n{"index":')

    server.part_limit = None
    assert vision_node(*interrupted) == 0
    assert names_in(out) == NAMES


@pytest.mark.parametrize(
    ("pattern", "skipped"), [("POST /batches$", 0), ("PUT ", 3), ("GET .*/results", 0)]
)
def test_ctrl_c_has_its_own_exit_code_and_can_be_continued(
    server: VisionNodeServer, folder: Path, out: Path, pattern: str, skipped: int
) -> None:
    arguments = ("describe", folder, "--out", out)
    assert interrupt(server, pattern, skipped, *arguments, by=signal.SIGINT) == 130

    assert vision_node(*arguments) == 0
    assert names_in(out) == NAMES
    assert server.puts == dict.fromkeys(NAMES, 1)


@pytest.mark.parametrize("pattern", ["POST .*/retry", "GET .*-retry-.*/results"])
def test_killed_retry_is_continued(
    server: VisionNodeServer, folder: Path, out: Path, pattern: str
) -> None:
    server.failing |= {"1.jpg", "3.jpg"}
    assert vision_node("describe", folder, "--out", out) == 1
    server.failing.clear()

    arguments = ("describe", folder, "--out", out, "--only-failed")
    interrupt(server, pattern, 0, *arguments, by=signal.SIGKILL)
    assert vision_node(*arguments) == 0
    assert names_in(out) == NAMES
    assert not any("error" in line for line in lines_of(out))
    assert len(server.batches) == 2


def test_retry_that_is_killed_after_its_lines_were_removed_is_continued(
    server: VisionNodeServer, folder: Path, out: Path
) -> None:
    server.failing |= {"1.jpg", "3.jpg"}
    assert vision_node("describe", folder, "--out", out) == 1
    server.failing.clear()
    arguments = ("describe", folder, "--out", out, "--only-failed")
    interrupt(server, "POST .*/retry", 0, *arguments, by=signal.SIGKILL)
    kept = [line for line in out.read_bytes().splitlines(keepends=True) if b'"error"' not in line]
    out.write_bytes(b"".join(kept))

    assert vision_node(*arguments) == 0
    assert names_in(out) == NAMES


@pytest.mark.parametrize("pattern", ["POST /batches$", "PUT ", "POST .*/start", "GET .*/results"])
def test_run_is_continued_after_the_server_was_away(
    server: VisionNodeServer,
    folder: Path,
    out: Path,
    pattern: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vision_node_client.async_client.Retries", lambda: QUICK)
    fault = server.fail(pattern, 503, count=10**6)
    assert vision_node("describe", folder, "--out", out) == 3

    fault.count = 0
    assert vision_node("describe", folder, "--out", out) == 0
    assert names_in(out) == NAMES
    assert server.puts == dict.fromkeys(NAMES, 1)


def undo_start(server: VisionNodeServer, out: Path) -> None:
    """Change server and journal as if the run had been killed shortly before the start."""
    batch = server.only_batch
    batch.started, batch.parts, batch.status = False, [], "queued"
    journal = Path(f"{out}.state")
    journal.write_text(journal.read_text().replace('"starting"', '"sending"'))


def test_image_that_was_changed_before_the_start_is_sent_again(
    server: VisionNodeServer, folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("describe", folder, "--out", out)
    interrupt(server, "POST .*/start", 0, *arguments, by=signal.SIGKILL)
    undo_start(server, out)
    (folder / "0.jpg").write_bytes(JPEG + b"changed")
    (folder / "new.jpg").write_bytes(JPEG)

    assert vision_node(*arguments) == 0
    assert "0.jpg has been changed since it was sent; it is sent again" in capfd.readouterr().err
    assert server.only_batch.images["0.jpg"] == JPEG + b"changed"
    assert server.puts == {**dict.fromkeys(NAMES, 1), "0.jpg": 2, "new.jpg": 1}
    assert names_in(out) == sorted([*NAMES, "new.jpg"])


def test_refused_image_is_not_sent_again(server: VisionNodeServer, folder: Path, out: Path) -> None:
    (folder / "-bad.gif").write_bytes(b"text")
    arguments = ("describe", folder, "--out", out)
    interrupt(server, "POST .*/start", 0, *arguments, by=signal.SIGKILL)
    undo_start(server, out)

    assert vision_node(*arguments) == 1
    assert server.puts == dict.fromkeys(["-bad.gif", *NAMES], 1)


def test_upload_that_expired_is_sent_again(
    server: VisionNodeServer, folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("describe", folder, "--out", out)
    interrupt(server, "PUT ", 3, *arguments, by=signal.SIGINT)
    server.batches.clear()

    assert vision_node(*arguments) == 0
    assert "was not started in time, or deleted" in capfd.readouterr().err
    assert names_in(out) == NAMES
    assert sorted(server.only_batch.images) == NAMES


def test_batch_that_was_deleted_after_its_start_is_refused(
    server: VisionNodeServer, folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("describe", folder, "--out", out)
    interrupt(server, "GET .*/results", 0, *arguments, by=signal.SIGKILL)
    server.batches.clear()

    assert vision_node(*arguments) == 4
    assert "BatchNotFound" in capfd.readouterr().err


def test_two_runs_do_not_write_to_the_same_file(
    server: VisionNodeServer, folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fault = server.hold("PUT ")
    with started("describe", folder, "--out", out) as process:
        assert fault.reached.wait(SECONDS)
        assert vision_node("describe", folder, "--out", out) == 2
        assert "another vision-node is writing" in capfd.readouterr().err
        process.kill()


def test_missing_folder_of_the_results_is_reported(
    server: VisionNodeServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert vision_node("describe", folder, "--out", folder / "missing" / "out.jsonl") == 2
    assert "No such file or directory" in capfd.readouterr().err
    assert server.requests == []


def change_journal(out: Path, **changes: object) -> None:
    path = Path(f"{out}.state")
    path.write_text(json.dumps(journal_of(out) | changes))


@pytest.mark.parametrize("pattern", ["PUT ", "POST .*/start"])
def test_batch_of_someone_else_with_the_same_name_gets_no_image(
    server: VisionNodeServer, folder: Path, out: Path, pattern: str
) -> None:
    arguments = ("describe", folder, "--out", out)
    interrupt(server, pattern, 0, *arguments, by=signal.SIGINT)
    other = server.only_batch
    other.started, other.starts, other.parts, other.images = False, 0, [], {}
    other.key = "of someone else"
    change_journal(out, uid="deleted")

    assert vision_node(*arguments) == 0
    assert (other.images, other.starts) == ({}, 0)
    assert names_in(out) == NAMES


def test_results_of_another_batch_are_not_written(
    server: VisionNodeServer, folder: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.part_size, server.part_limit = 1, 2
    with started("describe", folder, "--out", out) as process:
        wait_for_lines(out, 2)
        process.send_signal(signal.SIGINT)
        process.wait(SECONDS)
    change_journal(out, uid="deleted")
    before = out.read_bytes()

    server.part_limit = None
    assert vision_node("describe", folder, "--out", out) == 2
    assert "another batch" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_batch_that_is_gone_before_its_start_is_sent_again(
    server: VisionNodeServer, folder: Path, out: Path
) -> None:
    server.fail("POST .*/start", 403)
    assert vision_node("describe", folder, "--out", out) == 4
    server.batches.clear()

    assert vision_node("describe", folder, "--out", out) == 0
    assert names_in(out) == NAMES
    assert server.puts == dict.fromkeys(NAMES, 2)


def test_image_that_became_unacceptable_has_one_line(
    server: VisionNodeServer, folder: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.fail("POST .*/start", 403)
    assert vision_node("describe", folder, "--out", out) == 4
    change_journal(out, stage="sending")
    (folder / "1.jpg").write_bytes(b"text")

    assert vision_node("describe", folder, "--out", out) == 0
    assert names_in(out) == NAMES
    assert "1.jpg is described as it was sent before" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [(), ("--csv",)])
def test_failed_image_that_is_gone_keeps_a_line(
    server: VisionNodeServer, folder: Path, out: Path, arguments: tuple[str, ...]
) -> None:
    server.failing |= {"1.jpg", "3.jpg"}
    assert vision_node("describe", folder, "--out", out, *arguments) == 1
    server.failing.clear()
    del server.only_batch.images["3.jpg"]

    assert vision_node("describe", folder, "--out", out, "--only-failed", *arguments) == 1
    lines = [it for it in out.read_text("utf-8-sig").splitlines() if "3.jpg" in it]
    assert len(lines) == 1
    assert "ImageGone" in lines[0]
    assert (journal_of(out)["done"], journal_of(out)["failed"]) == (len(NAMES) - 1, 1)
    before = out.read_bytes()
    assert vision_node("describe", folder, "--out", out, "--only-failed", *arguments) == 1
    assert out.read_bytes() == before


def test_retry_of_a_batch_without_failed_images_ends(
    server: VisionNodeServer, folder: Path, out: Path
) -> None:
    """As of one that was cancelled, where images were not described and have not failed."""
    server.failing.add("1.jpg")
    assert vision_node("describe", folder, "--out", out) == 1
    server.fail("POST .*/retry", 409, reason="NothingFailed")
    before = out.read_bytes()

    assert vision_node("describe", folder, "--out", out, "--only-failed") == 1
    assert journal_of(out)["stage"] == "finished"
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "sleeping"},
        {"stage": "following", "batch": None},
        {"length": -1},
        {"after": "2"},
        {"sent": {"0.jpg": None}},
        {"refused": {"0.jpg": ["reason"]}},
        {"batch": 7},
    ],
)
def test_damaged_journal_is_refused(
    server: VisionNodeServer,
    folder: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
) -> None:
    assert vision_node("describe", folder, "--out", out) == 0
    change_journal(out, **changes)
    requests = len(server.requests)

    assert vision_node("describe", folder, "--out", out) == 2
    assert "is not a journal" in capsys.readouterr().err
    assert len(server.requests) == requests


def test_image_without_room_for_a_sidecar_does_not_stop_the_others(
    server: VisionNodeServer, folder: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "x" * 245 + ".jpg"
    (folder / name).write_bytes(JPEG)
    assert vision_node("describe", folder, "--out", out, "--sidecar") == 0
    assert f"{name} has no sidecar" in capsys.readouterr().err
    assert len(list(folder.rglob("*.vision-node.json"))) == len(NAMES)


def test_line_break_in_a_name_begins_no_line_of_the_terminal(
    server: VisionNodeServer, folder: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a\nerror: b.jpg").write_bytes(b"text")
    assert vision_node("describe", folder, "--out", out) == 1
    assert vision_node("describe", folder, "--dry-run") == 0
    output = capsys.readouterr()
    assert "\nerror: b.jpg" not in output.err + output.out
