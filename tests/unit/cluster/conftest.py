"""Fixtures for the tests of the tools: an almost empty PATH, and a server with fake builds."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import webserver
from tool_files import PROGRAM, sha256, tar_gz
from webserver import Answer, WebServer

import cluster
from cluster.artifacts import download, golang, official, tools
from cluster.artifacts.cache import Cache
from cluster.artifacts.official import MIRROR
from cluster.context import BuildContext
from cluster.run.progress import Progress

# Programs on the machine that stay on PATH because the tests need them.
ORDINARY = ("sh", "bash", "cat", "nice")


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A web server that is configured as the download mirror."""
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.0)
    download.connection_problem.cache_clear()
    with webserver.running() as server:
        monkeypatch.setenv(MIRROR, server.url)
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only folder on PATH. It does not contain Go, kind, helm or kubectl."""
    for name in ("AUTH", "CI", "CLUSTER", "EXTRAS", "DOCKER_HOST", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)

    found = tmp_path / "bin"
    found.mkdir()
    for name in ORDINARY:
        (found / name).symlink_to(str(shutil.which(name)))

    monkeypatch.setenv("PATH", str(found))
    go_version = golang.version
    go_version.cache_clear()
    yield found
    go_version.cache_clear()


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


@pytest.fixture
def program(folder: Path, calls: Path) -> Callable[..., Path]:
    """Return a function that adds a fake program to PATH; `rest` is the end of its shell script."""

    def put(name: str, rest: str = "") -> Path:
        path = folder / name
        path.write_text(PROGRAM.format(calls=calls, rest=rest))
        path.chmod(0o755)
        return path

    return put


@pytest.fixture
def ctx(tmp_path: Path) -> BuildContext:
    cache = Cache(tmp_path / "cache")
    return BuildContext(Path(cluster.__file__).parent.parent, cache, Progress(cache.logs))


@pytest.fixture
def published(web: WebServer, calls: Path, monkeypatch: pytest.MonkeyPatch) -> WebServer:
    """A web server with fake builds of kind, helm and kubectl, whose checksums are pinned."""
    made = {
        tool.name: PROGRAM.format(calls=calls, rest="").encode()
        for tool in (tools.KIND, tools.HELM, tools.KUBECTL)
    }

    for name, tool in (("KIND", tools.KIND), ("HELM", tools.HELM), ("KUBECTL", tools.KUBECTL)):
        found = tool.release
        assert found
        content = made[tool.name]
        if found.packed:
            where = f"{official.this_platform()}/{found.name}"
            content = tar_gz({"../../escaped": b"x", f"{where}.txt": b"x", where: content})
        web.serve(f"/{found.file}", Answer(content))
        known = replace(found, sums={official.this_platform(): sha256(content)})
        monkeypatch.setattr(tools, name, replace(tool, release=known))

    return web
