"""Fixtures for the system that `python3 -m cluster test` started: kind, MinIO and the chart."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import skimage
import sklearn.datasets
from pytest_kind import KindCluster

NAMESPACE = "vision-node"
WAIT_SECONDS = 60

FAST_DESCRIBER = "metadata"
"""Describer that most tests use. It is fast, needs little memory, and has predictable output."""

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
    """Return a function that runs kubectl in the release's namespace and returns its output.

    It raises CalledProcessError if kubectl fails.
    """

    def run(*arguments: str, **kwargs: Any) -> str:
        output: str = kind_cluster.kubectl("--namespace", NAMESPACE, *arguments, **kwargs)
        return output

    return run


@pytest.fixture(scope="session")
def refused(kubectl: Kubectl) -> Callable[..., str]:
    """Return a function that runs kubectl, checks that it fails, and returns its output."""

    def run(*arguments: str, **kwargs: Any) -> str:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            kubectl(*arguments, stderr=subprocess.STDOUT, **kwargs)
        return str(caught.value.output)

    return run


@pytest.fixture(scope="session")
def photos() -> list[Path]:
    """Return the paths of ten real photographs in several sizes and formats."""
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
def submit(api: httpx.Client) -> Callable[..., str]:
    """Return a function that submits an image and returns the ID of its job.

    If the describer is None, the submission doesn't name one, so the default describer is used.
    """

    def run(data: bytes, *, describer: str | None = FAST_DESCRIBER, **fields: str) -> str:
        chosen = {"describer": describer} if describer else {}
        answer = api.post("/submit", files={"file": ("image", data)}, data={**fields, **chosen})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    return run


@pytest.fixture(scope="session")
def ended(api: httpx.Client) -> Callable[[str], dict[str, Any]]:
    """Return a function that waits until a job is done or has failed and returns its status."""

    def run(job_id: str) -> dict[str, Any]:
        return wait_for(
            lambda: api.get(f"/status/{job_id}").json(),
            lambda status: status["status"] in {"done", "failed"},
        )

    return run


@pytest.fixture(scope="session")
def imagejob(kubectl: Kubectl) -> Callable[[str], dict[str, Any]]:
    """Return a function that reads the ImageJob with a given name."""

    def run(name: str) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(kubectl("get", "imagejob", name, "-o", "json"))
        return body

    return run


def wait_for(
    read: Callable[[], T], condition: Callable[[T], bool], seconds: float = WAIT_SECONDS
) -> T:
    """Read a value repeatedly until the condition holds for it, and return it.

    Fail if the condition does not hold within `seconds`, and show the last value.
    """
    deadline = time.monotonic() + seconds

    while True:
        value = read()
        if condition(value):
            return value

        assert time.monotonic() < deadline, (
            f"the condition did not hold within {seconds:g} s; last value: {value}"
        )
        time.sleep(0.05)


Forwarded = Callable[..., AbstractContextManager[httpx.Client]]
"""Function that takes a namespace, the name of a Service or `pod/<name>`, and optionally a port."""


@pytest.fixture(scope="session")
def forwarded(kind_cluster: KindCluster) -> Forwarded:
    """Return a function that connects an HTTP client to a Service or a pod."""

    @contextmanager
    def connect(namespace: str, service: str, port: str = "http") -> Iterator[httpx.Client]:
        target = service if "/" in service else f"service/{service}"
        command = ("port-forward", target, f":{port}")
        with subprocess.Popen(
            [kind_cluster.kubectl_path, "-n", namespace, *command],
            env=os.environ | {"KUBECONFIG": str(kind_cluster.kubeconfig_path)},
            stdout=subprocess.PIPE,
            text=True,
        ) as forward:
            assert forward.stdout
            found = re.search(r"127\.0\.0\.1:\d+", forward.stdout.readline())
            try:
                assert found, f"kubectl forwards no port to {service}"
                with httpx.Client(base_url=f"http://{found[0]}", timeout=30) as client:
                    yield client
            finally:
                forward.terminate()

    return connect
