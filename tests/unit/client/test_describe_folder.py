"""Tests of `vision-node describe FOLDER`: what it sends, and what it writes."""

import csv
import io
import json
import os
from pathlib import Path

import pytest
from client_helpers import JPEG, NAMES, journal_of, lines_of, names_in, vision_node
from fakes.vision_node_server import VisionNodeServer
from vision_node_api.uploads.bulk import zip_members
from vision_node_client.cli.formats import safe_cell
from vision_node_client.folder import SUFFIXES


@pytest.fixture(autouse=True)
def server_variable(server: VisionNodeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """VISION_NODE_URL names the fake server."""
    monkeypatch.setenv("VISION_NODE_URL", server.url)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the results are written."""
    return tmp_path / "results.jsonl"


def test_each_image_of_a_folder_has_a_line(
    server: VisionNodeServer, folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--describer", "ocr", "--language", "de", "--no-text", "--ttl", 60)
    assert vision_node("describe", folder, "--out", out, *arguments) == 0

    assert names_in(out) == NAMES
    assert all(line["result"]["caption"] == "A cat." for line in lines_of(out))
    assert server.puts == dict.fromkeys(NAMES, 1)
    assert server.only_batch.spec == {
        "upload": {},
        "describer": "ocr",
        "options": {"language": "de", "text": False},
        "ttlSecondsAfterFinished": 60,
    }
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "Sending the images to the batch batch-0.",
        f"6 images described, 0 not: {out}",
    ]


def test_finished_run_is_not_repeated(server: VisionNodeServer, folder: Path, out: Path) -> None:
    assert vision_node("describe", folder, "--out", out) == 0
    content, requests = out.read_bytes(), len(server.requests)

    assert vision_node("describe", folder, "--out", out) == 0
    assert (out.read_bytes(), len(server.requests)) == (content, requests)


def test_only_images_in_the_folder_are_sent(
    server: VisionNodeServer, folder: Path, out: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.jpg").write_bytes(JPEG)
    for hidden in (".hidden.jpg", ".git/a.jpg", "notes.txt", "photo.jpg.json"):
        (folder / hidden).parent.mkdir(exist_ok=True)
        (folder / hidden).write_bytes(JPEG)
    (folder / "link.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere.jpg").symlink_to("missing.jpg")
    (folder / "inside.JPG").symlink_to("0.jpg")
    os.mkfifo(folder / "pipe.jpg")

    assert vision_node("describe", folder, "--out", out) == 0
    assert sorted(server.puts) == sorted([*NAMES, "inside.JPG"])


def test_failed_and_refused_images_have_lines_with_errors(
    server: VisionNodeServer, folder: Path, out: Path
) -> None:
    server.failing.add("3.jpg")
    (folder / "bad.gif").write_bytes(b"text")
    (folder / "large.jpg").write_bytes(JPEG + bytes(server.max_image_bytes))
    (folder / os.fsdecode(b"\xff.jpg")).write_bytes(JPEG)

    assert vision_node("describe", folder, "--out", out) == 1
    errors = {it["customId"]: it["error"]["reason"] for it in lines_of(out) if "error" in it}
    assert errors == {
        "3.jpg": "ImageUnreadable",
        "bad.gif": "UnsupportedFormat",
        "large.jpg": "ImageTooLarge",
        "?.jpg": "NameInvalid",
    }
    assert len(lines_of(out)) == len(NAMES) + 3
    assert "large.jpg" not in server.puts
    assert vision_node("describe", folder, "--out", out) == 1


def test_folder_without_an_acceptable_image_leaves_no_batch(
    server: VisionNodeServer, tmp_path: Path, out: Path
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.gif").write_bytes(b"text")

    assert vision_node("describe", tmp_path / "bad", "--out", out) == 1
    assert names_in(out) == ["bad.gif"]
    assert server.batches == {}


def test_only_failed_images_are_described_again(
    server: VisionNodeServer, folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.failing |= {"1.jpg", "3.jpg"}
    (folder / "bad.gif").write_bytes(b"text")
    assert vision_node("describe", folder, "--out", out) == 1

    server.failing = {"3.jpg"}
    capfd.readouterr()
    assert vision_node("describe", folder, "--out", out, "--only-failed") == 1
    assert "again in the batch batch-0-retry-" in capfd.readouterr().err
    assert names_in(out) == sorted([*NAMES, "bad.gif"])
    assert {it["customId"] for it in lines_of(out) if "error" in it} == {"3.jpg", "bad.gif"}
    assert server.puts == dict.fromkeys([*NAMES, "bad.gif"], 1)

    server.failing.clear()
    assert vision_node("describe", folder, "--out", out, "--only-failed") == 1
    assert {it["customId"] for it in lines_of(out) if "error" in it} == {"bad.gif"}
    requests = len(server.requests)
    assert vision_node("describe", folder, "--out", out, "--only-failed") == 1
    assert len(server.requests) == requests


def test_csv_has_a_row_for_each_image(server: VisionNodeServer, folder: Path, out: Path) -> None:
    server.caption, server.failing = '=HYPERLINK("http://evil")', {"1.jpg", "3.jpg"}
    (folder / "-bad.gif").write_bytes(b"text")
    assert vision_node("describe", folder, "--out", out, "--csv") == 1

    server.failing = {"3.jpg"}
    assert vision_node("describe", folder, "--out", out, "--csv", "--only-failed") == 1
    rows = list(csv.DictReader(io.StringIO(out.read_bytes().decode("utf-8-sig"), newline="")))
    assert list(rows[0]) == ["customId", "file", "phase", "caption", "alt", "tags", "text", "error"]
    assert sorted(row["customId"] for row in rows) == ["'-bad.gif", *NAMES]
    phases = {row["customId"]: row["phase"] for row in rows}
    assert [it for it in phases if phases[it] == "failed"] == ["'-bad.gif", "3.jpg"]

    by_name = {row["file"]: row for row in rows}
    assert by_name["ä %2F?#.png"] == {
        "customId": "sub/ä %2F?#.png",
        "file": "ä %2F?#.png",
        "phase": "done",
        "caption": "'" + server.caption,
        "alt": "Cat",
        "tags": "cat, pet",
        "text": "",
        "error": "",
    }
    assert by_name["3.jpg"]["error"] == "ImageUnreadable: it is damaged"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "\u200b=1",
        "＝1",
        "a;=1",
        "a\n@b",
    ],
)
def test_no_cell_is_a_formula(text: str) -> None:
    safe = safe_cell(text)
    assert safe.replace("'", "") == text
    assert not safe.lstrip().startswith(("=", "+", "-", "@", "＝", "\u200b"))
    assert all(not cell.startswith(("=", "@")) for cell in safe.replace(";", "\n").split("\n"))


@pytest.mark.parametrize("text", ["", "a", "a=b", "3-4", "a, b", "it's", "ä"])
def test_harmless_cells_are_not_changed(text: str) -> None:
    assert safe_cell(text) == text


def test_sidecars_are_next_to_their_images(
    server: VisionNodeServer, folder: Path, out: Path
) -> None:
    server.failing.add("3.jpg")
    (folder / "0.jpg.json").write_text("of Google Photos")
    assert vision_node("describe", folder, "--out", out, "--sidecar") == 1

    found = sorted(str(it.relative_to(folder)) for it in folder.rglob("*.vision-node.json"))
    assert found == [f"{name}.vision-node.json" for name in NAMES if name != "3.jpg"]
    assert json.loads((folder / found[0]).read_text())["caption"] == "A cat."
    assert (folder / "0.jpg.json").read_text() == "of Google Photos"


def test_sidecars_are_only_written_for_images_that_were_sent(
    server: VisionNodeServer, folder: Path, out: Path, tmp_path: Path
) -> None:
    original = server._line

    def hostile(index: int, custom_id: str) -> dict[str, object]:
        return {**original(index, custom_id), "customId": "../escaped.jpg"}

    server._line = hostile  # type: ignore[method-assign]
    assert vision_node("describe", folder, "--out", out, "--sidecar") == 0
    assert not list(tmp_path.rglob("*.vision-node.json"))


def test_dry_run_lists_the_images_and_needs_no_server(
    folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = "http://127.0.0.1:1"
    assert vision_node("describe", folder, "--out", out, "--dry-run", "--server", server) == 0

    printed = capfd.readouterr()
    assert printed.out.splitlines() == NAMES
    assert printed.err == f"6 images (0.0 MB) would be sent to {server}. Nothing was sent.\n"
    assert not out.exists()


def test_each_name_is_on_one_line_of_a_dry_run(
    folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "a  b\n\tc.jpg").write_bytes(JPEG)
    assert vision_node("describe", folder, "--out", out, "--dry-run") == 0
    assert "a  b\ufffd\ufffdc.jpg" in capfd.readouterr().out.splitlines()


def test_name_with_a_line_break_does_not_fail_the_others(
    server: VisionNodeServer, folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "a\nb.jpg").write_bytes(JPEG)
    assert vision_node("describe", folder, "--out", out) == 1
    errors = {it["customId"]: it["error"]["reason"] for it in lines_of(out) if "error" in it}
    assert errors == {"a\nb.jpg": "NameInvalid"}
    assert names_in(out) == sorted([*NAMES, "a\nb.jpg"])
    assert "a\ufffdb.jpg is not described: NameInvalid" in capfd.readouterr().err


def test_server_and_client_know_the_same_formats() -> None:
    assert SUFFIXES == zip_members.EXTENSIONS


def test_refused_options_can_be_corrected(
    server: VisionNodeServer, folder: Path, out: Path
) -> None:
    server.fail("POST /batches$", 422, reason="DescriberNotFound")
    assert vision_node("describe", folder, "--out", out, "--describer", "loca") == 4
    assert vision_node("describe", folder, "--out", out, "--describer", "local") == 0
    assert names_in(out) == NAMES


def test_only_failed_needs_a_former_run(
    server: VisionNodeServer, folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert vision_node("describe", folder, "--out", out, "--only-failed") == 2
    assert f"there was no run with {out}" in capfd.readouterr().err
    assert (server.requests, out.exists()) == ([], False)


@pytest.mark.parametrize("path", ["-", "/dev/null", "."])
def test_results_need_a_regular_file(
    server: VisionNodeServer, folder: Path, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert vision_node("describe", folder, "--out", path) == 2
    assert "a regular file is needed" in capfd.readouterr().err
    assert server.requests == []


def test_quiet_run_prints_nothing(
    folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert vision_node("describe", folder, "--out", out, "--quiet") == 0
    assert capfd.readouterr() == ("", "")


def test_new_and_changed_images_are_reported(
    folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert vision_node("describe", folder, "--out", out) == 0
    (folder / "0.jpg").write_bytes(JPEG + b"changed")
    (folder / "new.jpg").write_bytes(JPEG)

    assert vision_node("describe", folder, "--out", out) == 0
    assert "1 are new and 1 were changed" in capfd.readouterr().err
    assert names_in(out) == NAMES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--language", "de"], "with a different options"),
        (["--csv"], "with a different format"),
    ],
)
def test_run_is_only_continued_by_the_same_command(
    folder: Path,
    out: Path,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    assert vision_node("describe", folder, "--out", out) == 0
    assert vision_node("describe", folder, "--out", out, *arguments) == 2
    assert words in capfd.readouterr().err
    assert vision_node("describe", folder / "sub", "--out", out) == 2
    assert "with a different folder" in capfd.readouterr().err


def test_other_files_are_not_overwritten(
    server: VisionNodeServer, folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out.write_text("precious")
    assert vision_node("describe", folder, "--out", out) == 2
    assert out.read_text() == "precious"

    out.unlink()
    for journal in ("nonsense", "[]", '{"version": 1, "else": 2}', '{"version": 99}'):
        Path(f"{out}.state").write_text(journal)
        assert vision_node("describe", folder, "--out", out) == 2
    assert "another version" in capfd.readouterr().err
    assert server.requests == []


def test_shortened_results_are_not_continued(
    server: VisionNodeServer, folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.failing.add("3.jpg")
    vision_node("describe", folder, "--out", out)
    journal = journal_of(out) | {"stage": "following"}
    Path(f"{out}.state").write_text(json.dumps(journal))
    out.write_text("")

    assert vision_node("describe", folder, "--out", out) == 2
    assert "is shorter than its journal says" in capfd.readouterr().err


def test_failed_batch_says_why(
    server: VisionNodeServer, folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    original = server._start

    def start_and_cancel(batch: object) -> None:
        original(server.only_batch)
        server.only_batch.parts = server.only_batch.parts[:1]
        server.only_batch.status = "failed"
        server.only_batch.error = {"reason": "Cancelled", "message": "by a user"}

    server._start = start_and_cancel  # type: ignore[method-assign]
    assert vision_node("describe", folder, "--out", out) == 1
    assert "The batch failed: Cancelled: by a user" in capfd.readouterr().err
    assert len(lines_of(out)) == 2
    assert journal_of(out)["failed"] == 4
