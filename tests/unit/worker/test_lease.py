"""Tests that creating the worker's Lease is retried unless the API server refuses the request."""

from types import SimpleNamespace
from typing import Any

import pytest
from vision_node_contract.clients.kube import AlreadyExistsError, KubeError, UnavailableError
from vision_node_contract.names import WARNING_ANNOTATION
from vision_node_describer import lease


class FakeKube:
    """Answers each POST with the next item of `answers`."""

    def __init__(self, *answers: KubeError | None) -> None:
        self.answers = list(answers)

    async def request(self, method: str, path: str, *, body: Any) -> Any:
        assert (method, path.rsplit("/", 1)[-1]) == ("POST", "leases")
        assert body["metadata"]["annotations"] == {WARNING_ANNOTATION: "ends soon"}
        assert body["metadata"]["name"] == "w0"
        if error := self.answers.pop(0):
            raise error


UNAVAILABLE = UnavailableError(0, "NoAnswer", "connection refused")
EXISTS = AlreadyExistsError(409, "AlreadyExists", "w0")


@pytest.mark.parametrize(
    "answers", [[None], [UNAVAILABLE, UNAVAILABLE, None], [UNAVAILABLE, EXISTS]]
)
async def test_creating_the_lease_is_retried_while_the_api_server_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, answers: list[KubeError | None]
) -> None:
    monkeypatch.setattr(lease, "CREATE_RETRY_SECONDS", (0.0, 0.0))
    kube: Any = FakeKube(*answers)
    settings: Any = SimpleNamespace(
        namespace="ns", pod_name="w0", pod_uid="u", describer="metadata"
    )
    await lease._create(kube, settings, {WARNING_ANNOTATION: "ends soon"})
    assert kube.answers == []


async def test_refusal_to_create_the_lease_raises_an_error() -> None:
    kube: Any = FakeKube(KubeError(403, "Forbidden", "denied"))
    settings: Any = SimpleNamespace(
        namespace="ns", pod_name="w0", pod_uid="u", describer="metadata"
    )
    with pytest.raises(KubeError, match="denied"):
        await lease._create(kube, settings, {WARNING_ANNOTATION: "ends soon"})
