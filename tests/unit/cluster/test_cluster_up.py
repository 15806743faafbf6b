"""Tests of `make up` on a machine with only Docker and internet access, and of error messages."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from webserver import WebServer

from cluster import __main__ as command_line
from cluster import commands, engine, release
from cluster.artifacts import debian, golang, registry
from cluster.context import BuildContext

# A fake Docker that has neither the cluster's node nor the project's images.
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


def arguments_of(calls: Path, name: str) -> Sequence[str]:
    lines = calls.read_text().splitlines() if calls.exists() else []
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def test_make_up_needs_only_docker_and_internet(
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
        assert any(line.startswith(expected) for line in arguments_of(calls, name)), name

    assert {path.split("-")[0] for path in published.requests} == {"/kind", "/kubectl", "/helm"}


@pytest.mark.parametrize(
    ("root_on_debian", "go", "probed"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_registry_is_probed_only_if_images_can_be_built_from_packages(
    root_on_debian: bool,  # noqa: FBT001
    go: bool,  # noqa: FBT001
    probed: bool,  # noqa: FBT001
    ctx: BuildContext,
    program: Callable[..., Path],
    calls: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program("docker", "exit 1")
    monkeypatch.setattr(debian, "may_install", lambda: root_on_debian)
    monkeypatch.setattr(golang, "available", lambda: go)
    assert registry.must_build_from_packages(ctx, engine.USER_ENGINE) is probed
    assert any(line.startswith("pull") for line in arguments_of(calls, "docker")) is probed


def test_docker_permission_error_is_shown(
    program: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program("docker", 'echo "permission denied: /var/run/docker.sock" >&2; exit 1')
    monkeypatch.setenv("VISION_NODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run(monkeypatch, "up") == 1
    errors = capsys.readouterr().err
    assert "permission denied: /var/run/docker.sock" in errors
    assert "linux-postinstall" in errors


def test_old_python_error_has_advice() -> None:
    code = (
        "import sys; sys.version_info = (3, 9, 6, 'final', 0); sys.version = '3.9.6 (macOS)'; "
        "import cluster"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=Path.cwd()
    )
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "make up PYTHON=python3.13" in done.stderr
