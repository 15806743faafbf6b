"""Tests of who may create shards and count images. See test_chart.py for the outcome of shards."""

import subprocess

import pytest
from conftest import NAMESPACE, Kubectl


@pytest.mark.parametrize(
    ("component", "verb", "resource"),
    [
        ("worker", "patch", "imagebatches/status"),
        ("worker", "patch", "imagebatches"),
        ("worker", "create", "imagebatches"),
        ("worker", "create", "imagejobs"),
        ("api", "patch", "imagebatches/status"),
        ("api", "patch", "imagejobs/status"),
        ("archiver", "patch", "imagejobs/status"),
        ("archiver", "create", "imagejobs"),
        ("operator", "patch", "imagebatches"),
    ],
)
def test_component_may_not_do_the_work_of_others(
    kubectl: Kubectl, component: str, verb: str, resource: str
) -> None:
    account = f"--as=system:serviceaccount:{NAMESPACE}:vision-node-{component}"
    kind, _, part = resource.partition("/")  # kubectl would take what follows a slash for a name
    what = [kind, f"--subresource={part}"] if part else [kind]
    with pytest.raises(subprocess.CalledProcessError) as caught:
        kubectl("auth", "can-i", verb, *what, account)
    assert caught.value.output.strip() == "no"
