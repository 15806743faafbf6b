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
        ({"HOME": "/home/somebody"}, "/home/somebody/.cache/vision-node"),
        ({"VISION_NODE_CACHE": "/chosen", "XDG_CACHE_HOME": "/xdg"}, "/chosen"),
    ],
)
def test_the_user_chooses_where_the_cache_is(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("VISION_NODE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert default_root() == Path(expected)


def test_a_fingerprint_changes_with_texts_contents_names_and_modes(tmp_path: Path) -> None:
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


def test_a_fingerprint_does_not_depend_on_where_the_checkout_is(tmp_path: Path) -> None:
    for checkout in ("here", "there"):
        (tmp_path / checkout / "folder").mkdir(parents=True)
        (tmp_path / checkout / "folder/file").write_text("same")
    assert fingerprint(tmp_path / "here/folder") == fingerprint(tmp_path / "there/folder")


def test_a_fingerprint_keeps_its_inputs_apart() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_python_leftovers_change_no_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    before = fingerprint(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/file.pyc").write_text("")
    assert fingerprint(tmp_path) == before


def test_an_entry_appears_only_when_it_is_complete(cache: Cache) -> None:
    entry = cache.entry("thing", KEY)

    def make(path: Path) -> None:
        path.write_text("whole")
        assert not entry.exists()

    cache.fill(entry, make)
    assert entry.read_text() == "whole"


def test_a_failed_build_leaves_nothing(cache: Cache) -> None:
    def make(path: Path) -> None:
        path.mkdir()
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        cache.fill(cache.entry("thing", KEY), make)
    assert list(cache.made.iterdir()) == []


def test_pruning_keeps_the_two_newest_of_a_name_and_all_other_names(cache: Cache) -> None:
    for age, key in enumerate([KEY, OLDER, OLDEST]):
        for name in (f"node-{key}.tar", f"node-image-{key}.tar.zst"):
            (cache.made / name).touch()
            os.utime(cache.made / name, (100 - age, 100 - age))

    (cache.made / f".node-{OLDEST}.tar.42.unfinished").touch()
    cache.prune("node")
    left = {path.name for path in cache.made.iterdir() if not path.name.startswith("node-image")}
    assert left == {f"node-{KEY}.tar", f"node-{OLDER}.tar"}
    assert len(list(cache.made.glob("node-image-*"))) == 3


def test_a_lock_names_its_holder_to_whoever_waits(cache: Cache) -> None:
    said: list[str] = []
    taken, released = threading.Event(), threading.Event()

    def hold() -> None:
        with cache.locked("thing", said.append):
            # As if another process held it.
            (cache.root / "locks/thing").write_text("4711")
            taken.set()
            released.wait()

    def wait(line: str) -> None:
        said.append(line)
        released.set()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    with cache.locked("thing", wait):
        holder.join()

    assert said == ["  waiting for another run, which has thing (process 4711)"]


def test_what_others_share_is_not_had_alone(cache: Cache) -> None:
    with cache.shared("engine"), cache.shared("engine"), cache.alone("engine") as unused:
        assert not unused
    with cache.alone("engine") as unused:
        assert unused


def test_a_link_can_be_moved(tmp_path: Path) -> None:
    link(Path("one"), tmp_path / "name")
    link(Path("two"), tmp_path / "name")
    assert (tmp_path / "name").readlink() == Path("two")
