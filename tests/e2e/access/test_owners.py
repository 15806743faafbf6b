"""Tests of two owners on the real system: neither finds anything of the other."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from conftest import FAST_DESCRIBER, wait_for

ENDED = frozenset({"done", "failed"})
SECONDS = 120

Client = Callable[[str], httpx.Client]


@pytest.fixture(scope="module")
def client_of(secured_release: tuple[str, str]) -> Iterator[Client]:
    """Return a function that creates a key for an owner, and yields a client with it."""
    url, admin_key = secured_release
    clients: list[httpx.Client] = []

    def connect(key: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"}
        clients.append(httpx.Client(base_url=url, headers=headers, timeout=30))
        return clients[-1]

    admin = connect(admin_key)

    def create(name: str) -> httpx.Client:
        created = admin.post("/keys", json={"name": name})
        assert created.status_code == 201, created.text
        return connect(created.json()["key"])

    yield create
    for client in clients:
        client.close()


@pytest.fixture(scope="module")
def anna(client_of: Client) -> httpx.Client:
    return client_of(f"anna-{uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def ben(client_of: Client) -> httpx.Client:
    return client_of(f"ben-{uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def admin(secured_release: tuple[str, str]) -> Iterator[httpx.Client]:
    url, key = secured_release
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def job_id(anna: httpx.Client, photo: Path) -> str:
    """A job of Anna that is done."""
    form = {"describer": FAST_DESCRIBER}
    answer = anna.post("/submit", files={"file": ("anna.jpg", photo.read_bytes())}, data=form)
    assert answer.status_code == 202, answer.text
    found = str(answer.json()["job_id"])
    status = wait_for(
        lambda: anna.get(f"/status/{found}").json(), lambda it: it["status"] in ENDED, SECONDS
    )
    assert status["status"] == "done"
    return found


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/status/{}"),
        ("GET", "/result/{}"),
        ("GET", "/jobs/{}"),
        ("GET", "/jobs/{}/events"),
        ("GET", "/jobs/{}/image"),
        ("GET", "/jobs/{}/thumbnail"),
        ("POST", "/jobs/{}/cancel"),
        ("POST", "/jobs/{}/retry"),
        ("DELETE", "/jobs/{}"),
    ],
)
def test_job_of_another_owner_is_like_an_unknown_one(
    anna: httpx.Client, ben: httpx.Client, job_id: str, method: str, path: str
) -> None:
    unknown = "job-" + "a" * (len(job_id) - len("job-"))
    found, missing = (ben.request(method, path.format(it)) for it in (job_id, unknown))

    assert found.status_code == missing.status_code == 404
    assert found.text.replace(job_id, unknown) == missing.text
    assert anna.get(f"/status/{job_id}").json()["status"] == "done"


def test_lists_have_only_own_jobs(
    anna: httpx.Client, ben: httpx.Client, admin: httpx.Client, job_id: str
) -> None:
    owner = anna.get("/whoami").json()["owner"]
    for client, is_listed in ((anna, True), (ben, False), (admin, True)):
        for path in ("/jobs", "/jobs/export"):
            answer = client.get(path, params={"owner": owner})
            assert answer.status_code == 200
            assert (job_id in answer.text) == is_listed


def test_images_of_the_inbox_are_those_of_an_owner(
    anna: httpx.Client, ben: httpx.Client, admin: httpx.Client, photo: Path
) -> None:
    folder = uuid4().hex[:8]
    stored = anna.post(f"/inbox/{folder}/photo.jpg", files={"file": photo.read_bytes()})
    assert stored.status_code == 201, stored.text
    key = stored.json()["key"]

    assert ben.get(f"/inbox/{folder}/photo.jpg").status_code == 404
    assert ben.get("/inbox", params={"prefix": folder}).json()["objects"] == []
    found = admin.get("/inbox", params={"prefix": "owners/", "limit": 1000})
    assert key in [it["key"] for it in found.json()["objects"]]

    # Both may choose the same name for a batch, and only Anna's has the image.
    names = {}
    for client in (anna, ben):
        source = {"prefix": f"inbox/{folder}/", "name": f"batch-{folder}"}
        created = client.post("/batches", json={**source, "describer": FAST_DESCRIBER})
        assert created.status_code == 202, created.text
        names[client] = created.json()["name"]
    assert names[anna] != names[ben]

    assert ended(anna, names[anna])["images"] == {"total": 1, "done": 1, "failed": 0}
    assert ended(anna, f"batch-{folder}")["name"] == names[anna]
    assert ended(ben, names[ben])["error"]["reason"] == "NoImages"
    assert ben.get(f"/batches/{names[anna]}/results").status_code == 404
    assert ben.post("/batches", json={"prefix": key}).status_code == 422


def ended(client: httpx.Client, name: str) -> dict[str, object]:
    """Return a batch when it has ended."""
    return wait_for(
        lambda: client.get(f"/batches/{name}").json(), lambda it: it["status"] in ENDED, SECONDS
    )


def test_batch_can_not_have_images_of_others(
    anna: httpx.Client, ben: httpx.Client, photo: Path
) -> None:
    name = uuid4().hex[:8]
    stored = anna.post(f"/inbox/{name}/photo.jpg", files={"file": photo.read_bytes()}).json()
    folder = stored["key"].removesuffix("photo.jpg")

    for source in ({"prefix": folder}, {"manifest": stored["key"]}):
        for client, status in ((ben, 422), (anna, 202)):
            created = client.post("/batches", json={**source, "suspend": True})
            assert created.status_code == status, created.text
            if status == 202:
                assert client.delete(f"/batches/{created.json()['name']}").status_code == 204
