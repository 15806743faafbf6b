"""A Describer that takes its time for images with the comment SLOW."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conftest import Kubectl
from vision_node_contract.json_types import Json


@contextmanager
def slow_describer(kubectl: Kubectl, name: str, concurrency: int) -> Iterator[str]:
    """Create a Describer with one worker, which is always there. Yield its name, and delete it."""
    spec: dict[str, Any] = {
        "provider": "metadata",
        "command": ["python", "-c", Path("tests/faults/faulty.py").read_text()],
        "minWorkers": 1,
        "maxWorkers": 1,
        "concurrency": concurrency,
    }
    body: Json = {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "Describer",
        "metadata": {"name": name},
        "spec": spec,
    }

    kubectl("apply", "-f", "-", input=json.dumps(body))
    yield name
    kubectl("delete", "describer", name, "--wait=false")
