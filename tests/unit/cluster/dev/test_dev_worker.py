"""Tests of `make dev` with PART=worker."""

from pathlib import Path

import pytest
from dev_cluster import SECRET_KEY, Checkout

from cluster.dev import worker
from cluster.errors import ClusterError


def test_worker_describes_a_file_with_the_describers_settings(checkout: Checkout) -> None:
    checkout.client.objects["describer", "own"] = {
        "spec": {
            "provider": "openai",
            "model": "gpt-4o",
            "options": {"a": 1},
            "timeoutSeconds": 30,
            "env": [{"name": "OWN", "value": "yes"}],
        }
    }
    photo = checkout.ctx.repository / "photo.jpg"
    photo.touch()
    assert worker.run(checkout.ctx, checkout.client, checkout.uv, "own", photo) == 0

    env = checkout.seen["env"]
    assert checkout.seen["arguments"][-2:] == ["cluster.dev.describe_file", str(photo)]
    assert (env["DESCRIBER"], env["PROVIDER"], env["MODEL"]) == ("own", "openai", "gpt-4o")
    assert (env["DESCRIBER_OPTIONS"], env["TIMEOUT_SECONDS"]) == ('{"a": 1}', "30")
    assert (env["OWN"], env["S3_SECRET_KEY"]) == ("yes", SECRET_KEY)


def test_worker_uses_the_default_describer(checkout: Checkout) -> None:
    photo = checkout.ctx.repository / "photo.jpg"
    photo.touch()
    worker.run(checkout.ctx, checkout.client, checkout.uv, "", photo)
    env = checkout.seen["env"]
    assert (env["DESCRIBER"], env["PROVIDER"], env["MODEL"]) == ("local", "local", "")


def test_worker_refuses_a_describer_with_a_sidecar(checkout: Checkout) -> None:
    checkout.client.objects["describer", "own"] = {"spec": {"timeoutSeconds": 30, "sidecar": {}}}
    photo = checkout.ctx.repository / "photo.jpg"
    photo.touch()
    with pytest.raises(ClusterError, match="sidecar"):
        worker.run(checkout.ctx, checkout.client, checkout.uv, "own", photo)


def test_missing_file_is_reported(checkout: Checkout) -> None:
    with pytest.raises(ClusterError, match="is not a file"):
        worker.run(checkout.ctx, checkout.client, checkout.uv, "", Path("nowhere.jpg"))
