"""Tests of the Job that makes the first API key, with a fake API server that can fail."""

import base64
import json
from collections.abc import Iterator
from itertools import count, product
from types import coroutine
from typing import Any

import pytest
from vision_node_contract.api_keys import ApiKey, hash_key, key_id
from vision_node_contract.clients.kube import AlreadyExistsError, ConflictError, NotFoundError
from vision_node_operator import access_keys, setup_job
from vision_node_operator.access_keys import AccessSecrets
from vision_node_operator.first_key import FIRST_KEY, WANTED

Json = dict[str, Any]

PATH = "/api/v1/namespaces/ns/secrets"
NAMES = AccessSecrets("vn-api-keys", "vn-admin-key")
KEYS, ADMIN = f"{PATH}/{NAMES.keys}", f"{PATH}/{NAMES.admin_key}"


class Died(BaseException):
    """The Job's pod was killed."""


class FakeKube:
    """An API server that keeps Secrets by path, and compares resourceVersions."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.writes: list[str] = []
        """Method and path of each write."""
        self.dies_after: int | None = None
        """Number of writes after which the Job is killed; None: never."""
        self._versions = count(1)

    async def request(self, method: str, path: str, body: Json | None = None) -> Json:
        if method == "GET":
            if path not in self.objects:
                raise NotFoundError(404, "NotFound", path)
            return self.objects[path]

        assert body is not None
        found = self._create(path, body) if method == "POST" else self._patch(path, body)
        self.writes.append(f"{method} {path}")
        if len(self.writes) == self.dies_after:
            raise Died
        return found

    def _create(self, path: str, body: Json) -> Json:
        path = f"{path}/{body['metadata']['name']}"
        if path in self.objects:
            raise AlreadyExistsError(409, "AlreadyExists", path)
        return self._store(path, body["metadata"], body["data"])

    def _patch(self, path: str, body: Json) -> Json:
        old, changes = self.objects[path], body["metadata"]
        if changes["resourceVersion"] != old["metadata"]["resourceVersion"]:
            raise ConflictError(409, "Conflict", path)

        annotations = {**old["metadata"].get("annotations", {}), **changes.get("annotations", {})}
        metadata = {**old["metadata"], "annotations": annotations}
        return self._store(path, metadata, {**old["data"], **body["data"]})

    def _store(self, path: str, metadata: Json, data: Json) -> Json:
        version = str(next(self._versions))
        self.objects[path] = {"metadata": {**metadata, "resourceVersion": version}, "data": data}
        return self.objects[path]

    def revoke_all(self) -> None:
        """Remove all keys, as the API does."""
        secret = self.objects[KEYS]
        self._store(KEYS, secret["metadata"], {"session-secret": "eA=="})

    def demand_key(self) -> None:
        """Demand another first key, as an administrator does."""
        secret = self.objects[KEYS]
        annotations = {**secret["metadata"]["annotations"], FIRST_KEY: WANTED}
        self._store(KEYS, {**secret["metadata"], "annotations": annotations}, secret["data"])


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    monkeypatch.setattr(setup_job, "PAUSE_SECONDS", (0.001, 0.001))
    return FakeKube()


async def ensure(kube: Any) -> None:
    await setup_job.with_retries(lambda: access_keys.ensure(kube, "ns", NAMES), NAMES.keys)


def text(kube: FakeKube) -> str:
    return base64.b64decode(kube.objects[ADMIN]["data"]["key"]).decode()


def keys(kube: FakeKube) -> dict[str, Json]:
    data = kube.objects[KEYS]["data"]
    return {
        name: json.loads(base64.b64decode(value))
        for name, value in data.items()
        if name.startswith("key-")
    }


def assert_consistent(kube: FakeKube) -> None:
    ((name, stored),) = keys(kube).items()
    assert name == f"key-{key_id(text(kube))}"
    assert stored["sha256"] == hash_key(text(kube))


async def test_release_gets_an_administrators_key(kube: FakeKube) -> None:
    await ensure(kube)
    assert_consistent(kube)

    (stored,) = keys(kube).values()
    key = ApiKey.model_validate(stored)
    assert (key.name, key.owner, list(key.scopes)) == ("admin", "admin", ["admin"])
    assert key.expires_at is None
    for secret in kube.objects.values():
        assert secret["metadata"]["labels"]["app.kubernetes.io/component"] == "api-keys"
        assert "ownerReferences" not in secret["metadata"]


async def test_keys_stay_as_they_are(kube: FakeKube) -> None:
    await ensure(kube)
    before, kube.writes = dict(kube.objects), []
    await ensure(kube)
    assert (kube.objects, kube.writes) == (before, [])


@pytest.mark.parametrize("writes", [1, 2, 3])
async def test_next_run_completes_what_was_interrupted(kube: FakeKube, writes: int) -> None:
    kube.dies_after = writes
    with pytest.raises(Died):
        await ensure(kube)
    shown = text(kube) if ADMIN in kube.objects else None

    kube.dies_after = None
    await ensure(kube)
    assert_consistent(kube)
    assert shown in {None, text(kube)}, "an administrator may have read the text already"


async def test_deleted_text_is_not_made_again(kube: FakeKube) -> None:
    await ensure(kube)
    del kube.objects[ADMIN]
    before = dict(kube.objects)
    await ensure(kube)
    assert kube.objects == before


@pytest.mark.parametrize("writes", [1, 2, 3])
async def test_revoked_key_does_not_become_valid_again(kube: FakeKube, writes: int) -> None:
    """This holds wherever the Job that made it was killed."""
    kube.dies_after = writes
    with pytest.raises(Died):
        await ensure(kube)
    kube.dies_after = None
    await ensure(kube)
    revoked = text(kube)

    kube.revoke_all()
    before, kube.writes = dict(kube.objects), []
    await ensure(kube)
    assert (kube.objects, kube.writes) == (before, []), "no one has demanded another key"

    kube.demand_key()
    await ensure(kube)
    assert text(kube) != revoked
    assert_consistent(kube)
    assert kube.objects[KEYS]["data"]["session-secret"] == "eA=="


@pytest.mark.parametrize("writes", [1, 2, 3])
async def test_demanded_key_leaves_the_others_as_they_are(kube: FakeKube, writes: int) -> None:
    """This holds even if the Job was killed."""
    await ensure(kube)
    before = keys(kube)
    kube.demand_key()
    kube.dies_after, kube.writes = writes, []
    with pytest.raises(Died):
        await ensure(kube)

    kube.dies_after = None
    await ensure(kube)
    assert before.items() < keys(kube).items()
    assert keys(kube)[f"key-{key_id(text(kube))}"]["sha256"] == hash_key(text(kube))

    kube.writes = []
    await ensure(kube)
    assert kube.writes == [], "it was demanded once"


async def test_key_is_not_put_into_use_again_with_a_new_secret(kube: FakeKube) -> None:
    await ensure(kube)
    former = text(kube)
    del kube.objects[KEYS]
    await ensure(kube)
    assert text(kube) != former
    assert_consistent(kube)


async def test_administrator_is_told_how_to_demand_a_key(
    kube: FakeKube, caplog: pytest.LogCaptureFixture
) -> None:
    await ensure(kube)
    kube.revoke_all()
    await ensure(kube)
    assert f"{FIRST_KEY} to '{WANTED}'" in caplog.text


def test_two_jobs_at_the_same_time_make_one_key() -> None:
    """All orders are tried in which the requests of two Jobs may arrive."""
    for schedule in product((0, 1), repeat=9):
        kube = FakeKube()
        jobs = [ensure_in_turn(kube), ensure_in_turn(kube)]
        for number in (*schedule, *[0] * 20, *[1] * 20):
            next(jobs[number], None)

        assert [next(job, "ended") for job in jobs] == ["ended", "ended"]
        assert_consistent(kube)


def ensure_in_turn(kube: FakeKube) -> Iterator[None]:
    """Run a Job that stops before each of its requests, and begins again after a conflict."""

    class Stopping:
        async def request(self, *args: Any, **named: Any) -> Json:
            await _stop()
            return await kube.request(*args, **named)

    server: Any = Stopping()
    while True:
        try:
            yield from access_keys.ensure(server, "ns", NAMES).__await__()
        except (AlreadyExistsError, ConflictError):
            continue
        return


@coroutine
def _stop() -> Iterator[None]:
    yield


async def test_no_text_is_logged(kube: FakeKube, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await ensure(kube)
    assert text(kube) not in caplog.text
