"""Tests of the Debian mirrors and of the keys of root file systems."""

import pytest

from cluster import versions
from cluster.artifacts import debian
from cluster.artifacts.debian import RootFileSystem, machine_sources, rename_suites, root_key

DEB822 = """\
Types: deb
URIs: http://mirror.test/bookworm/debian
Suites: {0} {0}-updates
  {0}-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-bookworm-stable.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: {0}-security
Components: main
"""
ONE_LINE = """\
deb [signed-by=/usr/share/keyrings/bookworm.gpg] http://mirror.test/bookworm {0} main
deb http://mirror.test/debian {0}-updates main
deb http://mirror.test/debian-security {0}-security main
deb http://mirror.test/other bookworms main
"""


@pytest.mark.parametrize("sources", [DEB822, ONE_LINE])
def test_only_suites_are_renamed_in_sources(sources: str) -> None:
    assert rename_suites(sources.format("bookworm"), "bookworm", "trixie") == sources.format(
        "trixie"
    )


@pytest.mark.parametrize(
    ("codename", "place", "expected"),
    [
        (versions.DEBIAN, "/etc/apt/sources.list.d/debian.sources", DEB822),
        (versions.DEBIAN, "/etc/apt/sources.list", ONE_LINE),
        ("noble", "/etc/apt/sources.list", ""),
    ],
)
def test_machine_mirrors_are_used_if_the_machine_has_the_pinned_release(
    codename: str, place: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"/etc/os-release": f"ID=x\nVERSION_CODENAME={codename}\n", place: expected or ONE_LINE}
    files[place] = files[place].format(versions.DEBIAN)
    monkeypatch.setattr(debian, "_read", lambda path: files.get(str(path), ""))
    assert machine_sources(versions.DEBIAN) == expected.format(versions.DEBIAN)
    assert machine_sources("trixie") == expected.format("trixie")


def test_root_key_depends_on_release() -> None:
    of_node, of_python = (
        RootFileSystem("x", release, "minbase", ()) for release in ("bookworm", "trixie")
    )
    assert root_key(of_node) != root_key(of_python)
