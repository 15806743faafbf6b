"""Tests of the artifact cache: its location, keys, locks and pruning."""

import os
import threading
from pathlib import Path

import pytest

from cluster.artifacts.cache import Cache, default_root, fingerprint, link

KEY, OLDER, OLDEST = "0123456789ab", "aaaaaaaaaaaa", "bbbbbbbbbbbb"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"VISION_NODE_CACHE": "/chosen"}, "/chosen"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/vision-node"),
        ({"HOME": "/home/user"}, "/home/user/.cache/vision-node"),
        ({"VISION_NODE_CACHE": "/chosen", "XDG_CACHE_HOME": "/xdg"}, "/chosen"),
    ],
)
def test_cache_root_is_read_from_environment(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("VISION_NODE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert default_root() == Path(expected)


def test_fingerprint_depends_on_texts_contents_names_and_modes(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "file"
    file.write_text("one")
    seen = [fingerprint("a", folder)]
    file.write_text("two")
    seen.append(fingerprint("a", folder))
    file.chmod(0o755)
    seen.append(fingerprint("a", folder))
    file.rename(folder / "other")
    seen.append(fingerprint("a", folder))
    seen.append(fingerprint("b", folder))
    assert len(set(seen)) == len(seen)


def test_fingerprint_is_independent_of_checkout_path(tmp_path: Path) -> None:
    for checkout in ("here", "there"):
        (tmp_path / checkout / "folder").mkdir(parents=True)
        (tmp_path / checkout / "folder/file").write_text("same")
    assert fingerprint(tmp_path / "here/folder") == fingerprint(tmp_path / "there/folder")


def test_fingerprint_distinguishes_adjacent_inputs() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_fingerprint_ignores_pycache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    before = fingerprint(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/file.pyc").write_text("")
    assert fingerprint(tmp_path) == before


def test_artifact_appears_only_when_complete(cache: Cache) -> None:
    entry = cache.entry("thing", KEY)

    def make(path: Path) -> None:
        path.write_text("whole")
        assert not entry.exists()

    cache.fill(entry, make)
    assert entry.read_text() == "whole"


def test_failed_build_leaves_no_files(cache: Cache) -> None:
    def make(path: Path) -> None:
        path.mkdir()
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        cache.fill(cache.entry("thing", KEY), make)
    assert list(cache.artifacts.iterdir()) == []


def test_pruning_keeps_the_two_newest_artifacts_with_a_name(cache: Cache) -> None:
    for age, key in enumerate([KEY, OLDER, OLDEST]):
        for name in (f"node-{key}.tar", f"node-image-{key}.tar.zst"):
            (cache.artifacts / name).touch()
            os.utime(cache.artifacts / name, (100 - age, 100 - age))

    (cache.artifacts / f".node-{OLDEST}.tar.42.unfinished").touch()
    cache.prune("node")
    left = {
        path.name for path in cache.artifacts.iterdir() if not path.name.startswith("node-image")
    }
    assert left == {f"node-{KEY}.tar", f"node-{OLDER}.tar"}
    assert len(list(cache.artifacts.glob("node-image-*"))) == 3


def test_waiting_run_reports_the_lock_holder(cache: Cache) -> None:
    messages: list[str] = []
    taken, released = threading.Event(), threading.Event()

    def hold() -> None:
        with cache.locked("thing", messages.append):
            # Pretend that another process holds the lock.
            (cache.root / "locks/thing").write_text("4711")
            taken.set()
            released.wait()

    def wait(line: str) -> None:
        messages.append(line)
        released.set()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    with cache.locked("thing", wait):
        holder.join()

    assert messages == ["  waiting for another run that uses thing (process 4711)"]


def test_shared_lock_cannot_be_held_exclusively(cache: Cache) -> None:
    with cache.shared("engine"), cache.shared("engine"), cache.alone("engine") as unused:
        assert not unused
    with cache.alone("engine") as unused:
        assert unused


def test_symbolic_link_can_be_replaced(tmp_path: Path) -> None:
    link(Path("one"), tmp_path / "name")
    link(Path("two"), tmp_path / "name")
    assert (tmp_path / "name").readlink() == Path("two")
