"""Tests that shards of ImageBatches are none of the API's jobs."""

from typing import Any, cast

import pytest
from api_server import until
from vision_node_api.watch.follower import WatchFollower
from vision_node_api.watch.single_imagejobs import SINGLE, SingleImageJobs
from vision_node_contract.clients.kube import Kube, NotFoundError, Selectors, WatchEvent

IMAGES = {"batch": "b", "batchUID": "u", "manifest": "m", "first": 0, "count": 5}


class FakeKube:
    """An API server with one ImageJob, which may be a shard."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.selectors: list[Selectors] = []

    async def request(self, method: str, path: str) -> dict[str, Any]:
        return {"metadata": {"name": path.rpartition("/")[2], "uid": "u"}, "spec": self.spec}

    async def follow(self, path: str, selectors: Selectors) -> Any:
        self.selectors.append(selectors)
        yield WatchEvent("SYNCED")


async def test_shard_is_not_found() -> None:
    imagejobs = SingleImageJobs(cast("Kube", FakeKube({"images": IMAGES})), "ns")
    with pytest.raises(NotFoundError):
        await imagejobs.get("b-0000-0")


async def test_job_with_a_single_image_is_found() -> None:
    imagejobs = SingleImageJobs(cast("Kube", FakeKube({"image": {"key": "images/a"}})), "ns")
    assert (await imagejobs.get("job-a")).spec.image.key == "images/a"


async def test_watch_of_jobs_selects_no_shards() -> None:
    kube = FakeKube({})
    follower = WatchFollower(cast("Kube", kube), "/imagejobs", lambda _: None, SINGLE)
    with follower.running():
        await until(lambda: follower.listed)
    assert kube.selectors[0].query() == [("labelSelector", "!vision-node.dev/batch")]
