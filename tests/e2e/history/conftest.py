"""Fixtures for tests of the history: the release's history, and a describer that quotes words."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest
from conftest import Kubectl
from pytest_kind import KindCluster
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


Forwarded = Callable[[str, str], AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="session")
def forwarded(kind_cluster: KindCluster) -> Forwarded:
    """Return a function that connects an HTTP client to a Service's port `http`."""

    @contextmanager
    def connect(namespace: str, service: str) -> Iterator[httpx.Client]:
        command = ("port-forward", f"service/{service}", ":http")
        with subprocess.Popen(
            [kind_cluster.kubectl_path, "-n", namespace, *command],
            env=os.environ | {"KUBECONFIG": str(kind_cluster.kubeconfig_path)},
            stdout=subprocess.PIPE,
            text=True,
        ) as forward:
            assert forward.stdout
            found = re.search(r"127\.0\.0\.1:\d+", forward.stdout.readline())
            try:
                assert found, f"kubectl forwards no port to {service}"
                with httpx.Client(base_url=f"http://{found[0]}", timeout=30) as client:
                    yield client
            finally:
                forward.terminate()

    return connect
