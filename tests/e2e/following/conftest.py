"""Fixtures for tests of streams of events: two replicas of the API, and clients for each."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest
from conftest import Forwarded, Kubectl

DEPLOYMENT = "deployment/vision-node-api"
SELECTOR = "app.kubernetes.io/component=api"


@pytest.fixture(scope="package")
def two_replicas(kubectl: Kubectl) -> Iterator[None]:
    """Run the API with two replicas, and restore their number afterwards."""
    before = kubectl("get", DEPLOYMENT, "-o", "jsonpath={.spec.replicas}")
    kubectl("scale", DEPLOYMENT, "--replicas=2")
    until_rolled_out(kubectl)
    yield
    kubectl("scale", DEPLOYMENT, f"--replicas={before}")
    until_rolled_out(kubectl)


@pytest.fixture
def pods(kubectl: Kubectl, two_replicas: None) -> list[str]:
    """Names of the API's two pods, both of which are ready."""
    until_rolled_out(kubectl)
    found = json.loads(kubectl("get", "pods", "-l", SELECTOR, "-o", "json"))["items"]
    return [it["metadata"]["name"] for it in found if not it["metadata"].get("deletionTimestamp")]


@pytest.fixture
def replica(forwarded: Forwarded) -> Callable[[str], AbstractContextManager[httpx.Client]]:
    """Return a function that connects an HTTP client to one of the API's pods."""
    return lambda pod: forwarded("vision-node", f"pod/{pod}", "8000")


def until_rolled_out(kubectl: Kubectl) -> None:
    """Wait until all replicas of the API are ready."""
    kubectl("rollout", "status", DEPLOYMENT, "--timeout=120s")
