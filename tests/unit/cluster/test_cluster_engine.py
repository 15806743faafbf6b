"""Tests of the removal of kind's Docker network, and of the detection of capabilities."""

from pathlib import Path

import pytest

from cluster.engine import CAP_SYS_RESOURCE, Engine, _remove_network, has_capability

# A fake docker that logs its calls.
DOCKER = """#!/bin/sh
echo "$1 $2" >> {calls}
case "$1" in
  ps) echo "{containers}" ;;
  version|info) exit {info_status} ;;
esac
"""


@pytest.mark.parametrize(
    ("containers", "info_status", "removed"),
    [("", 0, True), ("0a1b2c", 0, False), ("", 1, False)],
    ids=["unused", "used by a running or stopped container", "engine does not answer"],
)
def test_kind_network_is_removed_if_unused(
    tmp_path: Path, containers: str, info_status: int, *, removed: bool
) -> None:
    """A leftover bridge would receive packets that are meant for another engine's kind network."""
    docker, calls = tmp_path / "docker", tmp_path / "calls"
    docker.write_text(DOCKER.format(calls=calls, containers=containers, info_status=info_status))
    docker.chmod(0o755)
    _remove_network(Engine(str(docker), {}))
    assert ("network rm" in calls.read_text().splitlines()) is removed


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Name:\tpython3\nCapBnd:\t000001ffffffffff\n", True),
        ("Name:\tpython3\nCapBnd:\t000001fffeffffff\n", False),
        ("Name:\tpython3\n", False),
    ],
)
def test_missing_capability_is_detected(status: str, expected: bool) -> None:  # noqa: FBT001
    assert has_capability(status, CAP_SYS_RESOURCE) is expected
