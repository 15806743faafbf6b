"""`inbox`: what kubectl's users put into the bucket, one by one or as an archive."""

import io
import sys
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from api_fakes import Bucket, picture
from vision_node_api import inbox
from vision_node_api.inbox import main

PNG, JPEG = picture(), picture("JPEG")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command on an input; return its exit status and what it prints."""
    monkeypatch.setattr(inbox.Settings, "from_env", lambda: inbox.Settings("ns", max_image_bytes=10_000))
    monkeypatch.setattr(inbox.StoreSettings, "from_env", lambda: None)

    @asynccontextmanager
    async def opened(_: Any) -> AsyncIterator[Bucket]:
        yield bucket

    monkeypatch.setattr(inbox.Store, "open", opened)

    def run(data: bytes, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["inbox", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        status = main()
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def archive(**members: bytes) -> bytes:
    """Return a tar archive; `__` in a name stands for a slash."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name.replace("__", "/").replace("_", "."))
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["photo.png", "inbox/photo.png", "holiday/2026/photo.png"])
def test_one_image(run: Run, bucket: Bucket, name: str) -> None:
    key = "inbox/" + name.removeprefix("inbox/")
    assert run(PNG, name) == (0, f"{key}\n", "")
    assert bucket.objects == {key: PNG}


@pytest.mark.parametrize(
    "name", ["", "../photo.png", "a/../b.png", "/photo.png", "a//b.png", "a b.png", ".png"]
)
def test_a_name_that_no_imagejob_could_have(run: Run, bucket: Bucket, name: str) -> None:
    status, out, err = run(PNG, name)
    assert (status, out, bucket.objects) == (1, "", {})
    assert "letters, digits" in err


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "no bytes"), (b"text", "convert"), (PNG + bytes(10_000), "10000 bytes")]
)
def test_what_is_no_image_is_refused_with_its_reason(
    run: Run, bucket: Bucket, data: bytes, words: str
) -> None:
    status, out, err = run(data, "photo.png")
    assert (status, out, bucket.objects) == (1, "", {})
    assert words in err


def test_an_archive(run: Run, bucket: Bucket) -> None:
    status, out, _ = run(archive(a_png=PNG, sub__b_jpg=JPEG), "--tar", "holiday/")
    assert (status, out.split()) == (0, ["inbox/holiday/a.png", "inbox/holiday/sub/b.jpg"])
    assert bucket.objects == {"inbox/holiday/a.png": PNG, "inbox/holiday/sub/b.jpg": JPEG}


def test_what_an_archive_should_not_hold_is_named_and_the_rest_is_stored(run: Run, bucket: Bucket) -> None:
    members = {"a_png": PNG, "____climbs_png": PNG, "notes_txt": b"text", "b_jpg": JPEG}
    status, out, err = run(archive(**members), "--tar", "holiday")
    assert (status, list(bucket.objects)) == (1, ["inbox/holiday/a.png", "inbox/holiday/b.jpg"])
    assert out.split() == list(bucket.objects)
    assert "notes.txt" in err
    assert "passwd" not in err


@pytest.mark.parametrize("data", [b"no archive", archive(a_png=PNG)[:600]])
def test_a_broken_archive(run: Run, data: bytes) -> None:
    status, _, err = run(data, "--tar", "holiday")
    assert status == 1
    assert err.startswith("error: ")
