"""Tests of who may create shards and count images. Workers' rights to shards: see test_chart.py."""

import json
import subprocess
from collections.abc import Callable

import pytest
from conftest import NAMESPACE, Kubectl

SHARD = {
    "apiVersion": "vision-node.dev/v1alpha1",
    "kind": "ImageJob",
    "metadata": {"name": "forged-shard"},
    "spec": {
        "images": {
            "batch": "holiday",
            "batchUID": "00000000-0000-0000-0000-000000000000",
            "manifest": "batches/x/m1/",
            "first": 0,
            "count": 1,
        }
    },
}


def test_kubectl_user_cannot_create_a_shard(refused: Callable[..., str]) -> None:
    said = refused("create", "-f", "-", input=json.dumps(SHARD))
    assert "only the operator may create shards" in said


@pytest.mark.parametrize(
    ("component", "verb", "resource"),
    [
        ("worker", "patch", "imagebatches/status"),
        ("worker", "patch", "imagebatches"),
        ("worker", "create", "imagejobs"),
        ("api", "create", "imagebatches"),
        ("api", "patch", "imagebatches/status"),
        ("archiver", "patch", "imagejobs/status"),
        ("archiver", "create", "imagejobs"),
        ("operator", "patch", "imagebatches"),
    ],
)
def test_component_may_not_do_the_work_of_others(
    kubectl: Kubectl, component: str, verb: str, resource: str
) -> None:
    account = f"--as=system:serviceaccount:{NAMESPACE}:vision-node-{component}"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        kubectl("auth", "can-i", verb, resource, account)
    assert caught.value.output.strip() == "no"
