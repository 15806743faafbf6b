"""What a Docker engine of our own takes away when it stops: tried with a `docker` that notes its calls."""

from pathlib import Path

import pytest

from cluster.engine import Engine, _remove_network

DOCKER = """#!/bin/sh
echo "$1 $2" >> {calls}
case "$1" in
  ps) echo "{containers}" ;;
  version|info) exit {silent} ;;
esac
"""


@pytest.mark.parametrize(
    ("containers", "silent", "removed"),
    [("", 0, True), ("0a1b2c", 0, False), ("", 1, False)],
    ids=["nothing uses it", "a container, running or not, has it", "the engine does not answer"],
)
def test_kinds_network_is_removed_where_no_container_has_it(
    tmp_path: Path, containers: str, silent: int, *, removed: bool
) -> None:
    """Its bridge would stay, with the IPv6 addresses that kind's network has in every engine."""
    docker, calls = tmp_path / "docker", tmp_path / "calls"
    docker.write_text(DOCKER.format(calls=calls, containers=containers, silent=silent))
    docker.chmod(0o755)
    _remove_network(Engine(str(docker), {}))
    assert ("network rm" in calls.read_text().splitlines()) is removed
