"""Tests of the Job that gives a release its id, and the bundled services their credentials."""

import base64
from typing import Any

import pytest
from vision_node_contract.bucket_keys import RELEASE_ID
from vision_node_contract.clients.kube import AlreadyExistsError, NotFoundError
from vision_node_operator import release_identity, release_setup, setup_job


class FakeKube:
    """An API server that keeps objects by path."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.race: dict[str, Any] | None = None
        """An object that another Job creates right before the next POST request."""

    async def request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        if method == "GET":
            if path not in self.objects:
                raise NotFoundError(404, "NotFound", path)
            return self.objects[path]

        assert method == "POST"
        assert body
        path += f"/{body['metadata']['name']}"
        if self.race:
            self.objects[path], self.race = self.race, None
        if path in self.objects:
            raise AlreadyExistsError(409, "AlreadyExists", path)

        self.objects[path] = body
        return body


CONFIGMAP = "/api/v1/namespaces/ns/configmaps/vn-identity"


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    """A fake API server that release_setup connects to."""
    fake = FakeKube()

    class Connection:
        async def __aenter__(self) -> FakeKube:
            return fake

        async def __aexit__(self, *_: object) -> None:
            """Close nothing."""

    monkeypatch.setattr(release_setup.Kube, "connect", lambda _: Connection())
    monkeypatch.setattr(setup_job, "PAUSE_SECONDS", (0.001, 0.001))
    monkeypatch.setenv("POD_NAMESPACE", "ns")
    monkeypatch.setenv("IDENTITY_CONFIGMAP", "vn-identity")
    monkeypatch.delenv("STORAGE_SECRET", raising=False)
    monkeypatch.delenv("DATABASE_SECRET", raising=False)
    return fake


async def test_release_gets_an_id_once(kube: FakeKube) -> None:
    await release_setup.run()
    created = kube.objects[CONFIGMAP]
    assert RELEASE_ID.fullmatch(created["data"]["id"])
    assert "ownerReferences" not in created["metadata"]

    await release_setup.run()
    assert kube.objects == {CONFIGMAP: created}


SECRETS = "/api/v1/namespaces/ns/secrets"


@pytest.mark.parametrize("variable", ["STORAGE_SECRET", "DATABASE_SECRET"])
async def test_bundled_service_also_gets_its_credentials(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "vn-secret")
    await release_setup.run()
    assert kube.objects.keys() == {CONFIGMAP, f"{SECRETS}/vn-secret"}


async def test_database_gets_a_password_for_each_role(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_SECRET", "vn-database")
    await release_setup.run()
    secret = kube.objects[f"{SECRETS}/vn-database"]
    made = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}

    assert made.pop("archiver-username") == "vision_node_archiver"
    assert made.pop("api-username") == "vision_node_api"
    assert made.keys() == {"archiver-password", "api-password"}
    assert len({*made.values()}) == 2
    assert all(len(password) == 32 for password in made.values())
    assert secret["metadata"]["labels"]["app.kubernetes.io/component"] == "postgres"


async def test_id_of_a_concurrent_job_is_kept(kube: FakeKube) -> None:
    kube.race = {"data": {"id": "aaaabbbbcccc"}}
    await release_setup.run()
    assert kube.objects[CONFIGMAP]["data"] == {"id": "aaaabbbbcccc"}


@pytest.mark.parametrize("data", [None, {}, {"id": "broken"}])
async def test_damaged_identity_is_not_replaced(kube: FakeKube, data: Any) -> None:
    kube.objects[CONFIGMAP] = {"data": data}
    with pytest.raises(release_identity.IdentityInvalidError, match="restore the old id"):
        await release_setup.run()
    assert kube.objects[CONFIGMAP] == {"data": data}


def test_ids_differ() -> None:
    assert len({release_identity.new_id() for _ in range(100)}) == 100
