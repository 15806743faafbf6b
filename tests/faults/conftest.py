"""What a run is told: the cluster that `python3 -m cluster test` has brought up, and the seed."""

import os
import random

import pytest
from pytest_kind import KindCluster


@pytest.fixture
def url() -> str:
    """Where the API answers."""
    return os.environ["VISION_NODE_URL"]


@pytest.fixture
def node(kind_cluster: KindCluster) -> str:
    """The node's container."""
    return f"{kind_cluster.name}-control-plane"


@pytest.fixture
def seed() -> int:
    """SEED of the environment; else one that is drawn."""
    return int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
