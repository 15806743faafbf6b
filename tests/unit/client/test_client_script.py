"""Tests of test_client.py against a fake server, with the package and without any."""

import subprocess
import sys
from pathlib import Path

import pytest
from client_helpers import JPEG
from fakes.vision_node.access import FIRST_KEY
from fakes.vision_node_server import VisionNodeServer, serving_vision_node

SCRIPT = Path(__file__).parents[3] / "test_client.py"

BOTH = pytest.mark.parametrize("options", [[], ["-S", "-E"]], ids=["package", "alone"])
"""With -S, Python finds no packages."""


def run(options: list[str], *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *options, str(SCRIPT), *(str(it) for it in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@BOTH
def test_script_prints_the_description(
    server: VisionNodeServer, folder: Path, options: list[str]
) -> None:
    found = run(options, folder / "0.jpg", "--url", server.url, "--ttl", 90)
    assert (found.returncode, found.stdout) == (0, "Image Description:\nA cat.\n")
    assert found.stderr.splitlines()[0] == "submitted as job-0"
    assert found.stderr.splitlines()[-1] == "done"
    assert server.options == {"job-0": {"ttlSeconds": "90"}}


@BOTH
def test_script_says_why_there_is_no_description(
    server: VisionNodeServer, tmp_path: Path, options: list[str]
) -> None:
    image = tmp_path / "image.jpg"
    server.failing.add((JPEG + b"x").decode("latin-1"))
    for data, words in [(b"text", "error: UnsupportedFormat"), (JPEG + b"x", "ImageUnreadable")]:
        image.write_bytes(data)
        found = run(options, image, "--url", server.url)
        assert (found.returncode, found.stdout) == (1, "")
        assert words in found.stderr

    assert "can't be read" in run(options, tmp_path / "missing.jpg", "--url", server.url).stderr
    assert "is not an http or https URL" in run(options, image, "--url", "nonsense").stderr


def test_only_the_package_repeats_requests(server: VisionNodeServer, folder: Path) -> None:
    server.fail("POST /submit", 503)
    assert run([], folder / "0.jpg", "--url", server.url).returncode == 0
    server.fail("POST /submit", 503)
    assert run(["-S", "-E"], folder / "0.jpg", "--url", server.url).returncode == 1


@BOTH
def test_script_sends_the_key_to_this_server_only(
    server: VisionNodeServer,
    folder: Path,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.access.needs_key = True
    assert "Unauthenticated" in run(options, folder / "0.jpg", "--url", server.url).stderr

    monkeypatch.setenv("VISION_NODE_API_KEY", FIRST_KEY)
    assert run(options, folder / "0.jpg", "--url", server.url).returncode == 0
    with serving_vision_node() as other:
        server.fail("GET /status", 307, reason=None, Location=f"{other.url}/limits")
        found = run(options, folder / "0.jpg", "--url", server.url)
    assert found.returncode == 1
    assert {*other.access.sent} <= {None}
    assert FIRST_KEY not in found.stderr
