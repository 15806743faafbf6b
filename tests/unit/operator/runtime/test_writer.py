"""Tests of how the writer launches a worker if a Job with the worker's name already exists."""

from typing import Any

import pytest
from vision_node_contract.clients.kube import AlreadyExistsError
from vision_node_contract.names import COMPONENT_LABEL, DESCRIBER_LABEL, WORKER_COMPONENT
from vision_node_operator.decisions.actions import Launch
from vision_node_operator.runtime.writer import NameTakenError, Writer
from world import NOW, POOL, SETTINGS

NAME = "vn-metadata-0"
LABELS = {COMPONENT_LABEL: WORKER_COMPONENT, DESCRIBER_LABEL: "metadata"}


class FakeServer:
    """A fake API server that already has a Job named NAME with the given labels."""

    def __init__(self, labels: dict[str, str] | None) -> None:
        meta = {
            "name": NAME,
            "uid": "u",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "resourceVersion": "1",
        }
        self.job = {"metadata": {**meta, **({"labels": labels} if labels else {})}}

    async def request(self, method: str, path: str, **_: Any) -> dict[str, Any]:
        if method == "POST":
            raise AlreadyExistsError(409, "AlreadyExists", NAME)
        assert (method, path.rsplit("/", 1)[-1]) == ("GET", NAME)
        return self.job


def launch(server: FakeServer) -> Any:
    kube: Any = server
    bucket: Any = None  # only ImageBatches need it
    return Writer(kube, SETTINGS, {}, bucket).perform(Launch(NAME, POOL), NOW)


async def test_job_created_before_a_crash_is_adopted() -> None:
    server = FakeServer(LABELS)
    assert await launch(server) == ("jobs", server.job)


@pytest.mark.parametrize(
    "labels",
    [None, {"app": "other"}, {**LABELS, DESCRIBER_LABEL: "openai"}, {DESCRIBER_LABEL: "metadata"}],
)
async def test_unrelated_job_with_the_workers_name_is_an_error(
    labels: dict[str, str] | None,
) -> None:
    """The watch never reports such a Job, so the operator would repeat the launch forever."""
    with pytest.raises(NameTakenError, match="exists but is not a worker of metadata"):
        await launch(FakeServer(labels))
