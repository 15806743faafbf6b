"""Tests of `vision-node describe FOLDER` while it and the components are killed.

They come last, because they end the API's container, which other tests are connected to.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from batches.batch import Batches
from batches.slow_describer import slow_describer
from conftest import Kubectl, wait_for
from faults.faulty import SLOW
from pytest_kind import KindCluster
from vision_node_contract.json_types import Json
from vision_node_contract.names import COMPONENT_LABEL, DESCRIBER_LABEL

from uploads.image_sizes import described, sizes
from uploads.pictures_to_upload import drawn

VISION_NODE = Path(sys.executable).with_name("vision-node")

FILES = int(os.environ.get("FILES") or 300)
"""Number of images in the folder."""

DESCRIBER = "interrupted"

CONCURRENCY = 8
"""Number of images that are described at a time, so 40 per second."""

MOMENTS = (0.4, 2.5 * max(1, FILES / 300))
"""Earliest and latest time of an interruption, in seconds from the start of the client, which needs
about half a second until its first request. Three such runs are too short for all images."""

FINISH_SECONDS = 60.0 + FILES / 10
"""Maximum duration of the run that nobody interrupts."""


@pytest.fixture
def dice() -> random.Random:
    """Random numbers, which SEED in the environment repeats."""
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
    print(f"SEED={seed}")
    return random.Random(seed)  # noqa: S311 (runs must be repeatable)


@pytest.fixture
def describer(kubectl: Kubectl, api: httpx.Client) -> Iterator[str]:
    """Create a Describer with one worker. Yield its name once the API knows it."""
    with slow_describer(kubectl, DESCRIBER, CONCURRENCY) as name:
        wait_for(lambda: api.get("/describers").text, lambda text: name in text)
        yield name


@pytest.fixture
def images(tmp_path: Path) -> dict[str, bytes]:
    """Store slow images in a folder on this machine, and return them by customId."""
    found = drawn(FILES, SLOW)
    for custom_id, data in found.items():
        file = tmp_path / "pictures" / custom_id
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    return found


def test_interrupted_folder_is_described_once(
    kubectl: Kubectl,
    kind_cluster: KindCluster,
    batches: Batches,
    url: str,
    describer: str,
    images: dict[str, bytes],
    tmp_path: Path,
    dice: random.Random,
) -> None:
    """Each image has one line, and was stored once, in the only batch."""
    results = tmp_path / "results.jsonl"
    command: list[Path | str] = [VISION_NODE, "describe", tmp_path / "pictures", "--out", results]
    command += ["--describer", describer, "--server", url]
    node = f"{kind_cluster.name}-control-plane"

    for victim in ("api", "archiver", None):
        with running(command) as client:
            first, second = sorted(dice.uniform(*MOMENTS) for _ in range(2))
            time.sleep(first)
            if victim:
                kill(kubectl, node, f"{COMPONENT_LABEL}={victim}")
            time.sleep(second - first)
            client.kill()

    with running(command) as client:
        wait_for(lambda: ended(kubectl), bool, FINISH_SECONDS)
        kill(kubectl, node, f"{DESCRIBER_LABEL}={describer},{COMPONENT_LABEL}=worker")
        assert client.wait(FINISH_SECONDS) == 0

    assert described(map(json.loads, results.read_text().splitlines())) == sizes(images)
    (batch,) = batches_of(kubectl)
    assert batch["status"]["images"] == {"total": FILES, "done": FILES, "failed": 0}
    assert described(batches.lines(batch["metadata"]["name"])) == sizes(images)

    stored = [key for key in batches.objects(batch["metadata"]["uid"]) if key.startswith("u/")]
    assert len(stored) == FILES
    assert all(key.startswith("u/i/") for key in stored)


@contextmanager
def running(command: list[Path | str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program while the block runs, and kill it at the end."""
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


def kill(kubectl: Kubectl, node: str, selector: str) -> None:
    """Send SIGKILL to the only container of a running pod."""
    pods = ("get", "pods", "--selector", selector, "--field-selector", "status.phase=Running")
    path = "jsonpath={range .items[*]}{.status.containerStatuses[0].containerID}{'\\n'}{end}"
    containers = kubectl(*pods, "-o", path).split()
    container = containers[0].removeprefix("containerd://")

    signal = ("ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", container)
    subprocess.run(["docker", "exec", node, *signal], check=True)


def batches_of(kubectl: Kubectl) -> list[Json]:
    """Return the ImageBatches that the client has created."""
    selector = f"spec.describer={DESCRIBER}"
    listed = kubectl("get", "imagebatches", "--field-selector", selector, "-o", "json")
    found: list[Json] = json.loads(listed)["items"]
    return found


def ended(kubectl: Kubectl) -> int:
    """Return how many images of these ImageBatches have been described."""
    found = (batch["status"].get("images", {}) for batch in batches_of(kubectl))
    return sum(images.get("done", 0) for images in found)
