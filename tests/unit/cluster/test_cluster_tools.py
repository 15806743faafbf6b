"""Ways to get the tools. Each test sets the PATH; a local server acts as the official sites."""

import hashlib
import io
import os
import platform
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import webserver
from webserver import Answer, WebServer

from cluster import __main__ as command_line
from cluster import commands, engine, release, versions
from cluster.artifacts import debian, download, golang, official, registry, tools
from cluster.artifacts.cache import Cache
from cluster.artifacts.official import MIRROR, Release
from cluster.artifacts.tools import Way, ways
from cluster.context import Workshop
from cluster.errors import ClusterError
from cluster.run import shell
from cluster.run.progress import Progress

PLATFORMS = ("linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64")
RELEASES = (official.KIND, official.KUBECTL, official.HELM, official.HELM_3)

# Programs of the machine that everything needs, Docker apart.
ORDINARY = ("sh", "bash", "cat", "nice")

# Writes down how it was called.
PROGRAM = '#!/bin/sh\necho "${{0##*/}} $*" >> {calls}\n{rest}'


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tar_gz(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """The mirror that the environment names."""
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.0)
    download.trouble.cache_clear()
    with webserver.running() as server:
        monkeypatch.setenv(MIRROR, server.url)
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """All of PATH: a machine without Go, kind, helm and kubectl."""
    for name in ("CI", "CLUSTER", "EXTRAS", "DOCKER_HOST", "http_proxy", "HTTP_PROXY"):
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
    """Put a program on PATH that does what the lines say."""

    def put(name: str, rest: str = "") -> Path:
        path = folder / name
        path.write_text(PROGRAM.format(calls=calls, rest=rest))
        path.chmod(0o755)
        return path

    return put


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    cache = Cache(tmp_path / "cache")
    return Workshop(Path(command_line.__file__).parent.parent, cache, Progress(cache.logs))


@pytest.fixture
def published(web: WebServer, calls: Path, monkeypatch: pytest.MonkeyPatch) -> WebServer:
    """The server has kind, helm and kubectl, and the project has their checksums."""
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


# Which way is taken.


@pytest.mark.parametrize(
    ("ci", "go", "expected"),
    [
        (False, False, (Way.MADE, Way.PATH, Way.DOWNLOAD)),
        (False, True, (Way.MADE, Way.PATH, Way.DOWNLOAD, Way.GO)),
        # What is pinned, whatever the machine has and reaches.
        (True, True, (Way.GO,)),
        (True, False, (Way.DOWNLOAD,)),
    ],
)
def test_the_quickest_way_comes_first_and_ci_takes_what_is_pinned(
    ci: bool,  # noqa: FBT001
    go: bool,  # noqa: FBT001
    expected: tuple[Way, ...],
) -> None:
    assert ways(ci=ci, go=go) == expected


def test_a_machine_with_docker_alone_downloads_the_tools(
    published: WebServer, shop: Workshop, folder: Path
) -> None:
    found = tools.all_of(shop, home_made=False)
    for path in (found.kind, found.helm, found.kubectl):
        assert path.parent == shop.cache.bin, "on the PATH that `make env` prints"
        assert os.access(path, os.X_OK)

    assert not (folder.parent / "escaped").exists()
    assert [path.name for path in found.helm.resolve().parent.iterdir()] == ["helm"], (
        "nothing else is unpacked"
    )


def test_the_second_run_asks_nothing(published: WebServer, shop: Workshop, folder: Path) -> None:
    tools.all_of(shop, home_made=False)
    asked = list(published.asked)
    tools.all_of(shop, home_made=False)
    assert published.asked == asked


def test_a_killed_run_leaves_nothing_that_the_next_one_takes(
    published: WebServer, shop: Workshop, folder: Path
) -> None:
    known = tools.KIND.release
    assert known
    entry = shop.cache.entry(official._label(known), official._key(known))
    left = entry.with_name(f".{entry.name}.4711.unfinished")
    left.mkdir()
    (left / "download").write_bytes(b"half")
    assert tools.get(shop, tools.KIND).read_bytes().startswith(b"#!/bin/sh")
    assert not left.exists()


def test_another_file_than_the_official_one_is_refused(
    web: WebServer, shop: Workshop, folder: Path
) -> None:
    assert tools.KIND.release
    web.serve(f"/{tools.KIND.release.file}", Answer(b"#!/bin/sh\nmalice"))
    with pytest.raises(ClusterError) as caught:
        tools.get(shop, tools.KIND)

    said = str(caught.value)
    for part in (
        tools.KIND.release.url,
        sha256(b"#!/bin/sh\nmalice"),
        "SHA-256 expected",
        MIRROR,
        "go.dev",
    ):
        assert part in said

    assert not list(shop.cache.made.iterdir())


def test_a_new_enough_tool_of_the_user_is_taken(
    web: WebServer, shop: Workshop, program: Callable[..., Path]
) -> None:
    mine = program("kind", "echo kind v0.33.0 go1.26.8 linux/amd64")
    assert tools.get(shop, tools.KIND) == mine
    assert web.asked == []


@pytest.mark.parametrize(
    "rest", ["echo kind v0.20.0", "exit 126", "exec cat /nowhere"], ids=["old", "shim", "broken"]
)
def test_a_tool_of_the_user_that_will_not_do_is_passed_over(
    rest: str, published: WebServer, shop: Workshop, program: Callable[..., Path]
) -> None:
    program("kind", rest)
    assert tools.get(shop, tools.KIND) == shop.cache.bin / "kind"


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Go is installed, and the list has what it was asked to build."""
    asked: list[str] = []

    def build(_shop: Workshop, program: golang.Program) -> Path:
        asked.append(program.package)
        return Path("/from/go") / program.name

    monkeypatch.setattr(golang, "available", lambda: True)
    monkeypatch.setattr(golang, "version", lambda: "go1.26.8")
    monkeypatch.setattr(golang, "build", build)

    return asked


def test_where_the_internet_is_closed_go_builds_and_one_question_is_asked(
    web: WebServer, shop: Workshop, folder: Path, built: list[str]
) -> None:
    said = io.StringIO()
    tools.get(replace(shop, progress=Progress(shop.cache.logs, said, notes=False)), tools.KIND)
    assert built == [f"sigs.k8s.io/kind@{versions.KIND}"]
    assert len(web.asked) == 1
    assert "kind is not downloaded: 127.0.0.1" in said.getvalue()


def test_where_the_download_works_go_builds_nothing(
    published: WebServer, shop: Workshop, folder: Path, built: list[str]
) -> None:
    assert tools.get(shop, tools.HELM).read_bytes().startswith(b"#!/bin/sh")
    assert built == []


def test_ci_with_go_asks_no_site_and_takes_nothing_from_path(
    published: WebServer,
    shop: Workshop,
    program: Callable[..., Path],
    built: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program("kind", "echo kind v0.33.0")
    monkeypatch.setenv("CI", "true")
    tools.get(shop, tools.KIND)
    assert len(built) == 1
    assert published.asked == []


def test_where_nothing_leads_to_a_tool_the_ways_are_told(
    web: WebServer, shop: Workshop, folder: Path
) -> None:
    with pytest.raises(ClusterError) as caught:
        tools.get(shop, tools.KIND)
    said = str(caught.value)
    assert "the server answers 404" in said
    assert "Get kind 0.31 or newer from https://kind.sigs.k8s.io" in said
    assert "https://go.dev/dl/" in said
    assert f"{MIRROR} to the address of a server that has kind-{versions.KIND}-" in said


def test_on_a_machine_without_official_builds_that_is_told(
    web: WebServer, shop: Workshop, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    with pytest.raises(
        ClusterError, match=r"There is no official build for linux-riscv64\. Get kind"
    ):
        tools.get(shop, tools.KIND)
    assert web.asked == []


# What is downloaded, and from where.


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
def test_a_machine_is_named_as_go_names_it(
    system: str, machine: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert official.this_platform() == expected


@pytest.mark.parametrize("known", RELEASES, ids=lambda known: f"{known.name}-{known.version}")
def test_every_platform_has_a_sum_of_its_own(known: Release) -> None:
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
def test_the_official_addresses(
    known: Release, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(MIRROR, raising=False)
    monkeypatch.setattr(official, "this_platform", lambda: "darwin-arm64")
    assert known.url == expected


@pytest.mark.parametrize(
    "text",
    ["mirror.example.com", "file:///tools", "https://me:secret@mirror.example.com", "https://"],
)
def test_a_mirror_is_a_plain_address_and_is_not_repeated(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR, text)
    with pytest.raises(ClusterError, match=MIRROR) as caught:
        official.mirror()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "files", [{"linux-amd64/README.md": b"x"}, {}], ids=["without the program", "empty"]
)
def test_an_archive_without_the_program_is_told(files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "download").write_bytes(tar_gz(files))
    with pytest.raises(ClusterError, match="linux-amd64/helm"):
        official._unpack(tmp_path / "download", "linux-amd64/helm", tmp_path / "helm")


def test_a_link_in_place_of_the_program_is_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "download", "w:gz") as tar:
        entry = tarfile.TarInfo("linux-amd64/helm")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(ClusterError, match="not a program"):
        official._unpack(tmp_path / "download", "linux-amd64/helm", tmp_path / "helm")


def test_the_downloaded_tools_are_new_enough_and_kubectl_fits_the_node() -> None:
    assert golang.parse(versions.KIND) >= versions.KIND_OLDEST
    assert golang.parse(versions.HELM_DOWNLOADED) >= versions.HELM_OLDEST
    assert f"kindest/node:{versions.KUBECTL}@" in versions.KIND_NODE_IMAGE


# All of `make up`.

# What Docker says while a machine without a cluster gets one: the first answer to the node's name
# is "no".
DOCKER = """
case "$*" in
  "container inspect"* | "image inspect vision-node-"*) exit 1 ;;
  *"images ls") echo "REF TYPE DIGEST" ;;
  save*) echo layers ;;
  exec*import*) cat > /dev/null ;;
esac
"""


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cluster", *arguments])
    return command_line.main()


def called(calls: Path, name: str) -> Sequence[str]:
    lines = calls.read_text().splitlines() if calls.exists() else []
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def test_make_up_needs_docker_and_the_internet_alone(
    published: WebServer,
    program: Callable[..., Path],
    calls: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program("docker", DOCKER)
    monkeypatch.setenv("VISION_NODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(release, "wait_until_serving", lambda *_: None)
    monkeypatch.setattr(commands.demo, "show", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = str(unused.getsockname()[1])

    assert run(monkeypatch, "up", "--port", port) == 0
    for name, expected in (
        ("docker", "build "),
        ("kind", f"create cluster --name vision-node --kubeconfig {tmp_path}"),
        ("kubectl", "apply --server-side"),
        ("helm", "upgrade --install vision-node"),
    ):
        assert any(line.startswith(expected) for line in called(calls, name)), name

    assert {path.split("-")[0] for path in published.asked} == {"/kind", "/kubectl", "/helm"}


@pytest.mark.parametrize(
    ("root_on_debian", "go", "asked"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_whether_a_registry_answers_is_asked_only_where_images_could_be_made(
    root_on_debian: bool,  # noqa: FBT001
    go: bool,  # noqa: FBT001
    asked: bool,  # noqa: FBT001
    shop: Workshop,
    program: Callable[..., Path],
    calls: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program("docker", "exit 1")
    monkeypatch.setattr(debian, "may_install", lambda: root_on_debian)
    monkeypatch.setattr(golang, "available", lambda: go)
    assert registry.home_made(shop, engine.USERS) is asked
    assert any(line.startswith("pull") for line in called(calls, "docker")) is asked


def test_a_docker_that_may_not_be_used_is_told_in_its_own_words(
    program: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program("docker", 'echo "permission denied: /var/run/docker.sock" >&2; exit 1')
    monkeypatch.setenv("VISION_NODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run(monkeypatch, "up") == 1
    said = capsys.readouterr().err
    assert "permission denied: /var/run/docker.sock" in said
    assert "linux-postinstall" in said


def test_an_older_python_is_told_what_to_do() -> None:
    pretend = "import sys; sys.version_info = (3, 9, 6, 'final', 0); sys.version = '3.9.6 (macOS)'; import cluster"
    done = subprocess.run(
        [sys.executable, "-c", pretend], check=False, capture_output=True, text=True, cwd=Path.cwd()
    )
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "make up PYTHON=python3.13" in done.stderr


def test_a_program_for_another_machine_is_an_error_in_words(tmp_path: Path) -> None:
    foreign = tmp_path / "kind"
    foreign.write_bytes(b"\xcf\xfa\xed\xfe of macOS")
    foreign.chmod(0o755)
    with pytest.raises(ClusterError, match="can't be run"):
        shell.output([foreign, "version"])
