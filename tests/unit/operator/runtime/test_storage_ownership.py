"""Tests of the operator's checks of who owns the folders in the bucket."""

import asyncio
import logging
from typing import Any

import pytest
from fakes.s3 import RELEASE_ID, S3
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import UnavailableError
from vision_node_operator.runtime import storage_ownership as module
from vision_node_operator.runtime.storage_ownership import StorageOwnership
from vision_node_operator.settings import Settings

SETTINGS = Settings("ns", "describers", "vn", identity_name="identity")


class FakeKube:
    """Answers with the identity ConfigMap, or fails while `unavailable` is set."""

    def __init__(self) -> None:
        self.unavailable = False
        self.annotations: dict[str, str] = {}

    async def request(self, method: str, path: str) -> dict[str, Any]:
        assert (method, path) == ("GET", "/api/v1/namespaces/ns/configmaps/identity")
        if self.unavailable:
            raise UnavailableError(0, "NoAnswer", "connection refused")
        return {
            "metadata": {"uid": "uid-1", "annotations": self.annotations},
            "data": {"id": RELEASE_ID},
        }


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def ownership(behind: tuple[S3, Bucket], kube: Any) -> StorageOwnership:
    return StorageOwnership(behind[1], kube, SETTINGS)


async def logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async with asyncio.timeout(60):
        while text not in caplog.text:  # noqa: ASYNC110 (logging sets no event)
            await asyncio.sleep(0.001)


async def test_each_change_is_logged_once_and_an_adoption_takes_effect(
    s3: S3,
    kube: FakeKube,
    ownership: StorageOwnership,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.001)
    caplog.set_level(logging.INFO, module.__name__)
    s3.put(f"owners/{RELEASE_ID}", b'{"uid": "uid-2"}')
    assert ownership.is_ours is None

    running = asyncio.create_task(ownership.run())
    await logged(caplog, "StorageNotOurs")
    assert ownership.is_ours is False

    kube.unavailable = True
    await logged(caplog, "connection refused")
    kube.unavailable = False
    s3.fails = (403, "AccessDenied")
    await logged(caplog, "AccessDenied")

    s3.fails, kube.annotations = None, {"vision-node.dev/adopt": "uid-2"}
    await logged(caplog, "belong to this release")
    assert ownership.is_ours is True

    running.cancel()
    for text in ("connection refused", "belong to this release"):
        assert sum(text in record.message for record in caplog.records) == 1


async def test_release_of_an_older_chart_sweeps_nothing(behind: tuple[S3, Bucket]) -> None:
    kube: Any = None
    ownership = StorageOwnership(behind[1], kube, Settings("ns", "describers", "vn"))
    with pytest.raises(module.NotOursError, match="upgrade its chart"):
        await ownership.require()
    assert ownership.is_ours is False
