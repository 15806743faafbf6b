"""Tests of the official builds: their URLs, checksums and archives."""

import hashlib
import platform
import tarfile
from pathlib import Path

import pytest
from tool_files import tar_gz

from cluster import versions
from cluster.artifacts import golang, official
from cluster.artifacts.official import MIRROR, Release
from cluster.errors import ClusterError

PLATFORMS = ("linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64")

RELEASES = (official.KIND, official.KUBECTL, official.HELM, official.HELM_3)


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [
        ("Linux", "x86_64", "linux-amd64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "x86_64", "darwin-amd64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("FreeBSD", "amd64", "freebsd-amd64"),
    ],
)
def test_platform_is_named_as_in_go(
    system: str, machine: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert official.this_platform() == expected


@pytest.mark.parametrize("known", RELEASES, ids=lambda known: f"{known.name}-{known.version}")
def test_every_platform_has_its_own_checksum(known: Release) -> None:
    assert tuple(known.sums) == PLATFORMS
    assert len(set(known.sums.values())) == len(PLATFORMS)
    for text in known.sums.values():
        assert len(bytes.fromhex(text)) == hashlib.sha256().digest_size


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (
            official.KIND,
            "https://github.com/kubernetes-sigs/kind/releases/download/v0.33.0/kind-darwin-arm64",
        ),
        (official.KUBECTL, "https://dl.k8s.io/release/v1.37.0/bin/darwin/arm64/kubectl"),
        (official.HELM, "https://get.helm.sh/helm-v4.3.0-darwin-arm64.tar.gz"),
    ],
)
def test_official_download_urls(
    known: Release, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(MIRROR, raising=False)
    monkeypatch.setattr(official, "this_platform", lambda: "darwin-arm64")
    assert known.url == expected


@pytest.mark.parametrize(
    "text",
    ["mirror.example.com", "file:///tools", "https://me:secret@mirror.example.com", "https://"],
)
def test_invalid_mirror_is_refused_without_quoting_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR, text)
    with pytest.raises(ClusterError, match=MIRROR) as caught:
        official.mirror()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "files", [{"linux-amd64/README.md": b"x"}, {}], ids=["without the program", "empty"]
)
def test_archive_without_program_is_an_error(files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "download").write_bytes(tar_gz(files))
    with pytest.raises(ClusterError, match="linux-amd64/helm"):
        official._unpack(tmp_path / "download", "linux-amd64/helm", tmp_path / "helm")


def test_link_in_archive_is_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "download", "w:gz") as tar:
        entry = tarfile.TarInfo("linux-amd64/helm")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(ClusterError, match="not a program"):
        official._unpack(tmp_path / "download", "linux-amd64/helm", tmp_path / "helm")


def test_downloaded_tools_are_new_enough() -> None:
    assert golang.parse(versions.KIND) >= versions.KIND_OLDEST
    assert golang.parse(versions.HELM_DOWNLOADED) >= versions.HELM_OLDEST
    assert f"kindest/node:{versions.KUBECTL}@" in versions.KIND_NODE_IMAGE
