"""Tests of the command: single images, lists, and the documented exit codes."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from client_helpers import JPEG, NAMES, PROGRAM, QUICK, vision_node
from fakes.vision_node_server import VisionNodeServer
from vision_node_client import VisionNode
from vision_node_client.cli.exit_codes import ExitCode

PAGE = Path(__file__).parents[3] / "docs" / "client.md"


@pytest.fixture(autouse=True)
def server_variable(server: VisionNodeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """VISION_NODE_URL names the fake server, and requests are repeated without long pauses."""
    monkeypatch.setenv("VISION_NODE_URL", server.url)
    for module in ("async_client", "sync_client"):
        monkeypatch.setattr(f"vision_node_client.{module}.Retries", lambda: QUICK)


def test_description_of_an_image_is_printed(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert vision_node("describe", folder / "0.jpg") == 0
    assert capfd.readouterr() == ("Image Description:\nA cat.\n", "")

    assert vision_node("describe", folder / "0.jpg", "--json") == 0
    assert json.loads(capfd.readouterr().out)["tags"] == ["cat", "pet"]


def test_several_images_are_printed_in_the_order_of_the_arguments(
    server: VisionNodeServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.gif").write_bytes(b"text")
    server.failing.add((JPEG + b"1").decode("latin-1"))
    paths = [folder / name for name in ("2.jpg", "bad.gif", "1.jpg", "0.jpg")]

    assert vision_node("describe", *paths) == 1
    printed = capfd.readouterr()
    blocks = [f"{it}:\nImage Description:\nA cat.\n\n" for it in (paths[0], paths[3])]
    assert printed.out == "".join(blocks)
    assert printed.err.splitlines() == [
        f"error: {paths[1]}: UnsupportedFormat: UnsupportedFormat is the reason",
        f"error: {paths[2]}: ImageUnreadable: it is damaged",
    ]

    assert vision_node("describe", *paths, "--json") == 1
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["file"] for line in lines] == [str(paths[0]), str(paths[3])]


def test_labels_priority_and_reuse_are_sent(
    server: VisionNodeServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--label", "team=web", "--label", "tier=", "--priority", "-3"]
    assert vision_node("describe", folder / "0.jpg", "--reuse", *options) == 0
    expected = {"labels": "team=web,tier=", "priority": "-3", "reuse": "true"}
    assert server.options == {"job-0": expected}

    out = folder / "out.jsonl"
    assert vision_node("describe", folder, "--out", out, "--reuse") == ExitCode.USAGE
    assert "--reuse is for single images" in capfd.readouterr().err
    assert vision_node("describe", folder, "--out", out, *options) == 0
    assert server.only_batch.spec["labels"] == {"team": "web", "tier": ""}
    assert server.only_batch.spec["priority"] == -3

    with pytest.raises(SystemExit) as caught:
        vision_node("describe", folder / "0.jpg", "--label", "team")
    assert caught.value.code == ExitCode.USAGE


def test_text_of_the_server_cannot_control_the_terminal(
    server: VisionNodeServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.caption = "\x1b[2J\u202ea\rb"
    assert vision_node("describe", folder / "0.jpg") == 0
    assert not set(capfd.readouterr().out) & {"\x1b", "\u202e", "\r"}


@pytest.mark.parametrize(
    ("pattern", "status", "code"),
    [
        ("POST /submit", 415, ExitCode.FAILED),
        ("POST /submit", 401, ExitCode.REFUSED),
        ("POST /submit", 422, ExitCode.REFUSED),
        ("GET /status", 503, ExitCode.UNREACHABLE),
        ("GET /result", 500, ExitCode.REFUSED),
    ],
)
def test_exit_code_says_what_has_happened(
    server: VisionNodeServer, folder: Path, pattern: str, status: int, code: ExitCode
) -> None:
    server.fail(pattern, status, count=99)
    assert vision_node("describe", folder / "0.jpg") == code


def test_unreachable_server_and_invalid_arguments_have_exit_codes(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image = folder / "0.jpg"
    away = "http://127.0.0.1:1"
    assert vision_node("describe", image, "--server", away) == ExitCode.UNREACHABLE
    assert f"error: {away} does not respond" in capfd.readouterr().err
    assert vision_node("batches", "--server", "nonsense") == ExitCode.USAGE
    assert vision_node("results", "gone") == ExitCode.REFUSED

    for arguments in (
        [folder / "missing.jpg"],
        [folder],
        [folder, image],
        [folder, "--out", folder / "o", "--json"],
        [image, "--csv"],
        [image, "--only-failed"],
    ):
        assert vision_node("describe", *arguments) == ExitCode.USAGE
    with pytest.raises(SystemExit) as caught:
        vision_node("describe", image, "--timeout", "-1")
    assert caught.value.code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["describe", "missing", "--dry-run"], "missing: No such file or directory"),
        (["describe", "a.jpg", "--timeout", "soon"], "'soon' is not a positive number"),
        (["results", "a", "--after", "-1"], "'-1' is not a number from 0"),
    ],
)
def test_error_says_which_argument_is_invalid(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        code = vision_node(*arguments)
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    assert code == ExitCode.USAGE
    assert words in capfd.readouterr().err


def test_nothing_is_sent_if_a_file_is_missing(server: VisionNodeServer, folder: Path) -> None:
    assert vision_node("describe", folder / "0.jpg", folder / "missing.jpg") == ExitCode.USAGE
    assert server.requests == []


def test_error_says_that_a_folder_can_be_continued(
    server: VisionNodeServer, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.fail("POST /batches$", 503, count=99)
    for arguments in ([folder, "--out", tmp_path / "out.jsonl"], [folder / "0.jpg"]):
        server.fail("POST /submit", 503, count=99)
        assert vision_node("describe", *arguments) == ExitCode.UNREACHABLE
    of_folder, of_image = capfd.readouterr().err.splitlines()
    assert of_folder.endswith("; the same command continues")
    assert "the same command" not in of_image


def test_help_has_the_exit_codes_and_version(capfd: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["describe"], ["results"]):
        with pytest.raises(SystemExit):
            vision_node(*command, "--help")
        printed = capfd.readouterr().out
        for code in ExitCode:
            assert re.search(rf"^  {code.value} ", printed, re.MULTILINE)

    with pytest.raises(SystemExit):
        vision_node("--version")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capfd.readouterr().out)


def test_folder_without_images_is_a_usage_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert vision_node("describe", tmp_path, "--out", tmp_path / "out.jsonl") == ExitCode.USAGE
    assert "there are no images in" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_exit_codes_are_documented() -> None:
    rows = re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)
    assert [int(code) for code in rows] == [code.value for code in ExitCode]


def test_describers_and_batches_are_listed(
    server: VisionNodeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with VisionNode(server.url) as node:
        for number in range(4):
            node.create_batch(prefix="inbox/", name=f"b{number}")

    assert vision_node("describers") == 0
    assert vision_node("batches") == 0
    rows = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert rows[1] == ["local", "local", "True", "Idle", "yes"]
    assert [row[0] for row in rows[3:]] == ["b0", "b1", "b2", "b3"]

    for command in ("describers", "batches"):
        assert vision_node(command, "--json") == 0
    lines = [json.loads(line)["name"] for line in capfd.readouterr().out.splitlines()]
    assert lines == ["local", "b0", "b1", "b2", "b3"]


def test_results_of_a_batch_are_printed(
    server: VisionNodeServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.failing.add("3.jpg")
    with VisionNode(server.url) as node:
        name = node.create_batch(folder=folder).name

    assert vision_node("results", name, "--follow") == 1
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert sorted(line["customId"] for line in lines) == NAMES
    assert vision_node("results", name, "--phase", "done", "--after", "1") == 0
    assert len(capfd.readouterr().out.splitlines()) == 3

    assert vision_node("results", name, "--csv") == 1
    text = capfd.readouterr().out.removeprefix("\ufeff")
    assert len(list(csv.DictReader(io.StringIO(text)))) == len(NAMES)


def test_reader_that_stops_is_no_error(server: VisionNodeServer, folder: Path) -> None:
    with VisionNode(server.url) as node:
        name = node.create_batch(folder=folder).name

    command = f"{sys.executable} -c '{PROGRAM}' results {name} | head -n 1; echo ${{PIPESTATUS[0]}}"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (found.stdout.splitlines()[-1], found.stderr) == ("0", "")


def test_progress_is_shown_on_a_terminal(folder: Path, tmp_path: Path) -> None:
    """With the rate and the remaining time."""
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(inside, (24, 100))
    arguments = ["describe", str(folder), "--out", str(tmp_path / "out.jsonl")]
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stderr=inside) as process:
        os.close(inside)
        shown = b""
        try:
            while chunk := os.read(terminal, 4096):
                shown += chunk
        except OSError:  # Linux's end of a terminal whose program has ended.
            pass
        os.close(terminal)
        assert process.wait() == 0

    for verb in (b"sending", b"describing"):
        assert re.search(verb + rb": 100%.* 6/6 \[\d\d:\d\d<\d\d:\d\d, .*images/s\]", shown)
