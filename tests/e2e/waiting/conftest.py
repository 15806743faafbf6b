"""Fixtures: a release with two replicas of the API and a slow describer."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx
import pytest
from batches.slow_describer import slow_describer
from conftest import Forwarded, Kubectl, wait_for
from pytest_kind import KindCluster
from releases import ExtraRelease, Helm, extra_release, helm

__all__ = ["helm"]  # pytest looks up the fixture in this module

REPLICAS = 2

SLUGGISH = "sluggish"
"""Describer that describes one image at a time."""

TIMEOUT_SECONDS = 90.0
"""How long a client waits for a response, in seconds: longer than the API waits for a job."""

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
def connect(release: ExtraRelease, forwarded: Forwarded) -> Connect:
    """Return a function that connects an HTTP client to one of the release's pods."""

    @contextmanager
    def to_pod(pod: str) -> Iterator[httpx.Client]:
        with forwarded(release.namespace, f"pod/{pod}", "8000") as client:
            client.timeout = httpx.Timeout(TIMEOUT_SECONDS)
            yield client

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
