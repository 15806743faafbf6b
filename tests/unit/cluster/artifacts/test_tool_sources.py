"""Tests of where tools come from: the cache, PATH, an official build or a build with Go."""

import io
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tool_files import sha256
from webserver import Answer, WebServer

from cluster import versions
from cluster.artifacts import golang, official, tools
from cluster.artifacts.official import MIRROR
from cluster.artifacts.tools import Source, sources
from cluster.context import BuildContext
from cluster.errors import ClusterError
from cluster.run.progress import Progress


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pretend that Go is installed, and return a list of the packages that it builds."""
    packages: list[str] = []

    def build(_ctx: BuildContext, program: golang.Program) -> Path:
        packages.append(program.package)
        return Path("/from/go") / program.name

    monkeypatch.setattr(golang, "available", lambda: True)
    monkeypatch.setattr(golang, "version", lambda: "go1.26.8")
    monkeypatch.setattr(golang, "build", build)

    return packages


@pytest.mark.parametrize(
    ("ci", "go", "expected"),
    [
        (False, False, (Source.CACHE, Source.PATH, Source.DOWNLOAD)),
        (False, True, (Source.CACHE, Source.PATH, Source.DOWNLOAD, Source.GO)),
        # CI uses the pinned versions even if the machine has other versions.
        (True, True, (Source.GO,)),
        (True, False, (Source.DOWNLOAD,)),
    ],
)
def test_fastest_source_is_first_and_ci_uses_pinned_versions(
    ci: bool,  # noqa: FBT001
    go: bool,  # noqa: FBT001
    expected: tuple[Source, ...],
) -> None:
    assert sources(ci=ci, go=go) == expected


def test_tools_are_downloaded_if_missing(
    published: WebServer, ctx: BuildContext, folder: Path
) -> None:
    found = tools.ensure_all(ctx, from_packages=False)
    for path in (found.kind, found.helm, found.kubectl):
        assert path.parent == ctx.cache.bin, "on the PATH that `make env` prints"
        assert os.access(path, os.X_OK)

    assert not (folder.parent / "escaped").exists()
    assert [path.name for path in found.helm.resolve().parent.iterdir()] == ["helm"], (
        "nothing else is unpacked"
    )


def test_second_run_sends_no_requests(
    published: WebServer, ctx: BuildContext, folder: Path
) -> None:
    tools.ensure_all(ctx, from_packages=False)
    requests = list(published.requests)
    tools.ensure_all(ctx, from_packages=False)
    assert published.requests == requests


def test_incomplete_download_of_killed_run_is_deleted(
    published: WebServer, ctx: BuildContext, folder: Path
) -> None:
    known = tools.KIND.release
    assert known
    entry = ctx.cache.entry(official._label(known), official._key(known))
    left = entry.with_name(f".{entry.name}.4711.unfinished")
    left.mkdir()
    (left / "download").write_bytes(b"half")
    assert tools.get(ctx, tools.KIND).read_bytes().startswith(b"#!/bin/sh")
    assert not left.exists()


def test_tool_with_wrong_checksum_is_refused(
    web: WebServer, ctx: BuildContext, folder: Path
) -> None:
    assert tools.KIND.release
    web.serve(f"/{tools.KIND.release.file}", Answer(b"#!/bin/sh\nmalice"))
    with pytest.raises(ClusterError) as caught:
        tools.get(ctx, tools.KIND)

    message = str(caught.value)
    for part in (
        tools.KIND.release.url,
        sha256(b"#!/bin/sh\nmalice"),
        "SHA-256 expected",
        MIRROR,
        "go.dev",
    ):
        assert part in message

    assert not list(ctx.cache.artifacts.iterdir())


def test_users_tool_is_used_if_new_enough(
    web: WebServer, ctx: BuildContext, program: Callable[..., Path]
) -> None:
    mine = program("kind", "echo kind v0.33.0 go1.26.8 linux/amd64")
    assert tools.get(ctx, tools.KIND) == mine
    assert web.requests == []


@pytest.mark.parametrize(
    "rest", ["echo kind v0.20.0", "exit 126", "exec cat /nowhere"], ids=["old", "shim", "broken"]
)
def test_unsuitable_users_tool_is_ignored(
    rest: str, published: WebServer, ctx: BuildContext, program: Callable[..., Path]
) -> None:
    program("kind", rest)
    assert tools.get(ctx, tools.KIND) == ctx.cache.bin / "kind"


def test_go_builds_tool_after_one_failed_request(
    web: WebServer, ctx: BuildContext, folder: Path, built: list[str]
) -> None:
    output = io.StringIO()
    tools.get(replace(ctx, progress=Progress(ctx.cache.logs, output, notes=False)), tools.KIND)
    assert built == [f"sigs.k8s.io/kind@{versions.KIND}"]
    assert len(web.requests) == 1
    assert "kind is not downloaded: 127.0.0.1" in output.getvalue()


def test_go_is_not_used_if_download_works(
    published: WebServer, ctx: BuildContext, folder: Path, built: list[str]
) -> None:
    assert tools.get(ctx, tools.HELM).read_bytes().startswith(b"#!/bin/sh")
    assert built == []


def test_ci_with_go_builds_tools_without_downloads(
    published: WebServer,
    ctx: BuildContext,
    program: Callable[..., Path],
    built: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program("kind", "echo kind v0.33.0")
    monkeypatch.setenv("CI", "true")
    tools.get(ctx, tools.KIND)
    assert len(built) == 1
    assert published.requests == []


def test_missing_tool_error_has_advice(web: WebServer, ctx: BuildContext, folder: Path) -> None:
    with pytest.raises(ClusterError) as caught:
        tools.get(ctx, tools.KIND)
    message = str(caught.value)
    assert "the server answers 404" in message
    assert "Get kind 0.31 or newer from https://kind.sigs.k8s.io" in message
    assert "https://go.dev/dl/" in message
    assert f"{MIRROR} to the address of a server that has kind-{versions.KIND}-" in message


def test_platform_without_official_build_is_reported(
    web: WebServer, ctx: BuildContext, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    with pytest.raises(
        ClusterError, match=r"There is no official build for linux-riscv64\. Get kind"
    ):
        tools.get(ctx, tools.KIND)
    assert web.requests == []
