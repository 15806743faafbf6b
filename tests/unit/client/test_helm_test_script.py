"""Tests of the script that `helm test` runs, against a fake server with and without keys."""

import subprocess
import sys
from pathlib import Path

import pytest
from fakes.vision_node.access import FIRST_KEY
from fakes.vision_node_server import VisionNodeServer

SCRIPT = Path(__file__).parents[3] / "charts/vision-node/files/describe_picture.py"


def run(server: VisionNodeServer, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-S", "-E", str(SCRIPT), server.url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


@pytest.mark.parametrize("needs_key", [False, True])
def test_picture_is_described(server: VisionNodeServer, *, needs_key: bool) -> None:
    server.access.needs_key = needs_key
    env = {"NEEDS_API_KEY": "true", "VISION_NODE_API_KEY": FIRST_KEY} if needs_key else {}
    found = run(server, **env)
    assert (found.returncode, found.stderr) == (0, "")
    assert "A cat." in found.stdout
    assert {*server.access.sent} == {f"Bearer {FIRST_KEY}" if needs_key else None}


def test_refused_key_is_an_error(server: VisionNodeServer) -> None:
    server.access.needs_key = True
    found = run(server, NEEDS_API_KEY="true", VISION_NODE_API_KEY="vn_revoked")
    assert found.returncode == 1
    assert "answered 401" in found.stderr
    assert "vn_revoked" not in found.stderr


def test_without_the_first_key_only_the_refusal_is_checked(server: VisionNodeServer) -> None:
    server.access.needs_key = True
    found = run(server, NEEDS_API_KEY="true")
    assert (found.returncode, found.stderr) == (0, "")
    assert "refuses requests without a key" in found.stdout

    server.access.needs_key = False
    found = run(server, NEEDS_API_KEY="true")
    assert found.returncode == 1
    assert "answered 200 without an API key" in found.stderr
