"""Fixtures for tests of the history: the release's history, and a describer that quotes words."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import Kubectl
from vision_node_contract.json_types import Json

from history.release_history import EARLY, ReleaseHistory

QUOTING = "quoting"

DESCRIBER: Json = {
    "apiVersion": "vision-node.dev/v1alpha1",
    "kind": "Describer",
    "metadata": {"name": QUOTING},
    "spec": {
        "provider": "metadata",
        "command": ["python", "-c", Path(__file__).with_name("quoting.py").read_text()],
    },
}
"""Manifest of a Describer that quotes the words of images."""


@pytest.fixture(scope="package")
def quoting(kubectl: Kubectl) -> Iterator[str]:
    """Create the Describer that quotes words, and yield its name."""
    kubectl("apply", "-f", "-", input=json.dumps(DESCRIBER))
    yield QUOTING
    kubectl("delete", "describer", QUOTING, "--wait=false")


@pytest.fixture(scope="package")
def history(kubectl: Kubectl, api: httpx.Client) -> ReleaseHistory:
    """Return the release's history."""
    return ReleaseHistory(kubectl, api)


@pytest.fixture(scope="module")
def evicting(history: ReleaseHistory) -> Iterator[ReleaseHistory]:
    """Evict ImageJobs soon after their end, as long as the module's tests run."""
    with history.archiver_with(EARLY):
        yield history
