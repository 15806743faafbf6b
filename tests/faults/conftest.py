"""Fixtures of a run: the cluster that `python3 -m cluster test` started, and the seed."""

import os
import random

import pytest
from pytest_kind import KindCluster


@pytest.fixture
def url() -> str:
    """URL of the API."""
    return os.environ["VISION_NODE_URL"]


@pytest.fixture
def node(kind_cluster: KindCluster) -> str:
    """Name of the Docker container of the kind node."""
    return f"{kind_cluster.name}-control-plane"


@pytest.fixture
def seed() -> int:
    """Value of SEED in the environment, or a random number if it is not set."""
    return int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
