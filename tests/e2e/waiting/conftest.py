"""Fixtures: a release with two replicas of the API and a slow describer."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx
import pytest
from batches.slow_describer import slow_describer
from conftest import Kubectl, wait_for
from pytest_kind import KindCluster
from releases import ExtraRelease, Helm, extra_release, helm

__all__ = ["helm"]  # pytest looks up the fixture in this module

REPLICAS = 2

SLUGGISH = "sluggish"
"""Describer that describes one image at a time."""

Connect = Callable[[str], AbstractContextManager[httpx.Client]]
"""Function that connects an HTTP client to a pod, by its name."""


@pytest.fixture(scope="package")
def release(helm: Helm, kubectl: Kubectl, kind_cluster: KindCluster) -> Iterator[ExtraRelease]:
    """Install a release with two replicas of the API."""
    with extra_release("waiting-test", helm, kubectl, kind_cluster) as extra:
        extra.install({"api": {"replicas": REPLICAS}, "database": {"enabled": False}})
        yield extra


@pytest.fixture(scope="package")
def sluggish(release: ExtraRelease) -> Iterator[str]:
    """Create the slow describer in the release's namespace, and yield its name."""
    with slow_describer(release.kubectl, SLUGGISH, concurrency=1) as name:
        yield name


@pytest.fixture(scope="package")
def connect(release: ExtraRelease, kind_cluster: KindCluster) -> Connect:
    """Return a function that connects an HTTP client to one of the release's pods."""

    @contextmanager
    def to_pod(pod: str) -> Iterator[httpx.Client]:
        command = ("port-forward", f"pod/{pod}", ":8000")
        with subprocess.Popen(
            [kind_cluster.kubectl_path, "-n", release.namespace, *command],
            env=os.environ | {"KUBECONFIG": str(kind_cluster.kubeconfig_path)},
            stdout=subprocess.PIPE,
            text=True,
        ) as forward:
            assert forward.stdout
            found = re.search(r"127\.0\.0\.1:\d+", forward.stdout.readline())
            try:
                assert found, f"kubectl forwards no port to {pod}"
                with httpx.Client(base_url=f"http://{found[0]}", timeout=90) as client:
                    yield client
            finally:
                forward.terminate()

    return to_pod


def api_pods(release: ExtraRelease) -> list[str]:
    """Return the names of the release's two API pods when both are ready."""

    def ready() -> list[str]:
        return [
            pod["metadata"]["name"]
            for pod in release.pods()
            if pod["metadata"]["labels"].get("app.kubernetes.io/component") == "api"
            and "deletionTimestamp" not in pod["metadata"]
            and any(
                it["type"] == "Ready" and it["status"] == "True"
                for it in pod["status"].get("conditions", [])
            )
        ]

    return wait_for(ready, lambda names: len(names) == REPLICAS, seconds=120)
