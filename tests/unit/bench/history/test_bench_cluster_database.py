"""Tests of statements in the cluster's PostgreSQL, with a program in place of kubectl."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from bench.arena import Arena, settings
from bench.errors import BenchError
from bench.measure.database import ClusterDatabase
from bench.measure.kube_api import KubeApi

IDENTITY = {"data": {"id": "abcdefghijkl"}}


async def database_with(folder: Path, script: str) -> ClusterDatabase:
    """Return a history whose kubectl is a shell script."""
    kubectl = folder / "kubectl"
    kubectl.write_text(f"#!/bin/sh\n{script}\n")
    kubectl.chmod(0o755)
    client = SimpleNamespace(kubectl=kubectl, env=dict(os.environ))

    async def get(path: str) -> dict[str, object]:
        assert path.endswith("/configmaps/vision-node-identity")
        return IDENTITY

    arena = cast("Arena", SimpleNamespace(client=client))
    return await ClusterDatabase.of(arena, cast("KubeApi", SimpleNamespace(get=get)))


async def test_statement_runs_in_the_schema_of_the_release(tmp_path: Path) -> None:
    database = await database_with(tmp_path, 'for it in "$@"; do echo "$it"; done')
    arguments = await database.lines("SELECT 1")

    assert arguments[:5] == [
        *("--namespace", "vision-node", "exec", "--stdin", "statefulset/vision-node-postgres")
    ]
    commands = ["--command", "SET search_path = vision_node_abcdefghijkl", "--command", "SELECT 1"]
    assert arguments[-4:] == commands


async def test_names_and_size_are_read(tmp_path: Path) -> None:
    assert await (await database_with(tmp_path, "echo j1; echo j2")).names() == {"j1", "j2"}
    assert await (await database_with(tmp_path, "true")).names() == set()
    assert await (await database_with(tmp_path, "echo 8192")).size_bytes() == 8192


async def test_rows_are_copied_from_the_input(tmp_path: Path) -> None:
    database = await database_with(tmp_path, f"cat > {tmp_path}/copied")
    data = b"a\tb\n" * 100_000
    await database.copy("COPY images (uid) FROM STDIN", data)
    assert (tmp_path / "copied").read_bytes() == data


async def test_problem_of_psql_is_shown(tmp_path: Path) -> None:
    database = await database_with(tmp_path, "echo 'ERROR: no such table' >&2; exit 1")
    with pytest.raises(BenchError, match="SELECT name FROM jobs: ERROR: no such table"):
        await database.names()


def test_values_are_passed_to_helm() -> None:
    values = {"database.enabled": True, "retention.imageSeconds": 0}
    assert list(settings(values)) == ["database.enabled=true", "retention.imageSeconds=0"]
