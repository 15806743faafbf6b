"""Tests that CONTRIBUTING.md mentions only commands and files that exist."""

import re
from pathlib import Path

import cluster

REPOSITORY = Path(cluster.__file__).parent.parent
TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text()
MAKEFILE = (REPOSITORY / "Makefile").read_text()


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", TEXT))
    assert {"up", "dev", "test-unit", "version"} <= targets
    assert targets <= set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.M))


def test_make_variables_exist() -> None:
    variables = set(re.findall(r"\b([A-Z_]{3,})=", TEXT))
    assert variables <= set(re.findall(r"^([A-Z_]+) \?=", MAKEFILE, re.M))


def test_files_exist() -> None:
    paths = re.findall(r"`((?:[\w.-]+/)+[\w.*-]*)`|\]\(([\w./-]+)\)|(?<= )(tests/[\w/]+)", TEXT)
    named = {next(filter(None, found)) for found in paths}
    inside = {"unit/": "tests", "e2e/": "tests", "faults/": "tests", "bench/": "tests"}
    inside["providers/"] = "describer/vision_node_describer/describers"
    missing = [
        path for path in sorted(named) if not list((REPOSITORY / inside.get(path, "")).glob(path))
    ]
    assert len(named) > 15
    assert not missing
