"""A fixture for the tests of `make dev`: a checkout with a fake cluster."""

import json
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from dev_cluster import CONTAINER, KUBECTL, SECRET_KEY, Checkout, FakeCluster, deployment

from cluster.artifacts.cache import Cache
from cluster.context import BuildContext
from cluster.run.progress import Progress


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    monkeypatch.delenv("KUBECONFIG", raising=False)

    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL.format(python=sys.executable))
    kubectl.chmod(0o755)

    template = json.dumps({"spec": {"containers": [CONTAINER]}})
    client = FakeCluster(kubectl, Path("helm"), None)
    client.objects.update(
        {
            ("deployment", "vision-node-api"): deployment("api"),
            ("deployment", "vision-node-operator"): deployment("operator"),
            ("configmap", "vision-node-describers"): {"data": {"worker-pod.json": template}},
            ("describer", "local"): {"spec": {"timeoutSeconds": 120}},
            ("secret", "vision-node-storage"): {
                "data": {"key": b64encode(SECRET_KEY.encode()).decode()}
            },
        }
    )

    cache = Cache(tmp_path / "cache")
    ctx = BuildContext(tmp_path, cache, Progress(cache.logs))
    made = Checkout(ctx, client, tmp_path / "uv", tmp_path / "seen.json")
    made.uv_exits_with(0)
    return made
