"""Fixtures for tests of uploads: the release's ImageBatches, and a slow describer."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import httpx
import pytest
from batches.batch import Batches
from batches.slow_describer import slow_describer
from conftest import Kubectl, wait_for

from uploads.archives import tar_file
from uploads.pictures_to_upload import drawn
from uploads.slow_clients import Answer, sending_tar, stall

SLOW_DESCRIBER = "unhurried"

STALLED = "stalled-client"
"""Name of the batch whose upload is far too slow."""

STALLED_IMAGES = 10
"""Number of its images. Half of them arrive at once."""

TOO_MANY = 429


@pytest.fixture(scope="package")
def batches(kubectl: Kubectl, api: httpx.Client) -> Iterator[Batches]:
    """Yield the ImageBatches of the release. Delete all of them afterwards."""
    yield Batches(kubectl, api)
    kubectl("delete", "imagebatches", "--all", "--wait=false")


@pytest.fixture(scope="package")
def unhurried(kubectl: Kubectl, api: httpx.Client) -> Iterator[str]:
    """Create a Describer with one worker, which describes ten slow images per second.

    Yield its name once the API knows it.
    """
    with slow_describer(kubectl, SLOW_DESCRIBER, concurrency=2) as name:
        wait_for(lambda: api.get("/describers").text, lambda text: name in text)
        yield name


@pytest.fixture(scope="package")
def exists(kubectl: Kubectl) -> Callable[[str], bool]:
    """Return a function that says whether an ImageBatch exists."""

    def run(name: str) -> bool:
        return bool(kubectl("get", "imagebatch", name, "--ignore-not-found", "-o", "name"))

    return run


@pytest.fixture(scope="package", autouse=True)
def stalled(url: str) -> Iterator["Future[Answer | None]"]:
    """Upload far too slowly, beside all tests of the package. Yield the future answer."""
    body, stop = tar_file(list(drawn(STALLED_IMAGES).items())), Event()
    half = len(body) // 2

    def upload() -> Answer | None:
        with sending_tar(url, STALLED, len(body)) as connection:
            connection.send(body[:half])
            return stall(connection, body[half:], stop)

    def upload_when_admitted() -> Answer | None:
        """Upload again while the uploads of other tests take all of the memory for them."""
        answer = upload()
        while answer and answer.status == TOO_MANY and not stop.wait(1):
            answer = upload()
        return answer

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(upload_when_admitted)
        stop.set()
