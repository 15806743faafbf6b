"""The installed system, as `python3 -m cluster test` has brought it up: real kind, real MinIO, the chart."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import skimage
import sklearn.datasets
from pytest_kind import KindCluster

NAMESPACE = "vision-node"
WAIT_SECONDS = 60
T = TypeVar("T")


@pytest.fixture(scope="session")
def url() -> str:
    return os.environ["VISION_NODE_URL"]


@pytest.fixture(scope="session")
def api(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


Kubectl = Callable[..., str]


@pytest.fixture(scope="session")
def kubectl(kind_cluster: KindCluster) -> Kubectl:
    """Run kubectl in the release's namespace; returns what it prints, raises CalledProcessError."""

    def run(*arguments: str, **kwargs: Any) -> str:
        output: str = kind_cluster.kubectl("--namespace", NAMESPACE, *arguments, **kwargs)
        return output

    return run


@pytest.fixture(scope="session")
def refused(kubectl: Kubectl) -> Callable[..., str]:
    """Run kubectl and return what it says when the API server refuses."""

    def run(*arguments: str, **kwargs: Any) -> str:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            kubectl(*arguments, stderr=subprocess.STDOUT, **kwargs)
        return str(caught.value.output)

    return run


@pytest.fixture(scope="session")
def photos() -> list[Path]:
    """Ten real photographs, of several sizes and formats."""
    samples = Path(sklearn.datasets.__file__).parent / "images"
    data = Path(skimage.__file__).parent / "data"
    names = (
        "astronaut.png camera.png chelsea.png coffee.png coins.png moon.png retina.jpg rocket.jpg"
    )
    return [samples / "china.jpg", samples / "flower.jpg", *(data / name for name in names.split())]


@pytest.fixture(scope="session")
def photo(photos: list[Path]) -> Path:
    return photos[0]


@pytest.fixture(scope="session")
def submit(api: httpx.Client) -> Callable[[bytes], str]:
    """Submit an image; return its job's id."""

    def run(data: bytes, **fields: str) -> str:
        answer = api.post("/submit", files={"file": ("image", data)}, data=fields)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    return run


@pytest.fixture(scope="session")
def ended(api: httpx.Client) -> Callable[[str], dict[str, Any]]:
    """Wait until a job is done or failed; return its status."""

    def run(job_id: str) -> dict[str, Any]:
        return wait_for(
            lambda: api.get(f"/status/{job_id}").json(),
            lambda status: status["status"] in {"done", "failed"},
        )

    return run


@pytest.fixture(scope="session")
def imagejob(kubectl: Kubectl) -> Callable[[str], dict[str, Any]]:
    """Read an ImageJob."""

    def run(name: str) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(kubectl("get", "imagejob", name, "-o", "json"))
        return body

    return run


def wait_for(look: Callable[[], T], good: Callable[[T], bool], seconds: float = WAIT_SECONDS) -> T:
    """Look until what is seen is good; fail with what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if good(seen):
            return seen
        assert time.monotonic() < deadline, f"not within {seconds:g} s; last seen: {seen}"
        time.sleep(0.05)
