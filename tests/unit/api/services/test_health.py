"""Tests of readiness and liveness: a replica is ready once it can serve requests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from api_fakes import FakeBucket, picture
from api_health import Dependency, health_of
from fakes.s3 import RELEASE_ID, S3
from fastapi import FastAPI
from vision_node_api.services import health as module
from vision_node_api.services.health import Health
from vision_node_api.services.jobs import Jobs
from vision_node_api.services.ownership import OwnershipCheck
from vision_node_api.services.storage_health import WRITE_REFUSAL_SECONDS, StorageHealth
from vision_node_api.settings import Settings
from vision_node_api.watch.follower import WatchFollower
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.kube import UnavailableError, WatchEvent
from vision_node_contract.json_types import Json
from vision_node_contract.models.reasons import Reason

UNAVAILABLE = UnavailableError(0, "NoAnswer", "https://10.0.0.1: secret")
FULL = StoreUnavailableError("storage is full (XMinioStorageFull): enlarge it", Reason.STORAGE_FULL)


@pytest.fixture
def storage() -> Dependency:
    return Dependency()


@pytest.fixture
def kubernetes() -> Dependency:
    return Dependency()


@pytest.fixture
def health(app: FastAPI, jobs: Jobs, storage: Dependency, kubernetes: Dependency) -> Health:
    app.state.health = health_of(jobs, storage, kubernetes)
    found: Health = app.state.health
    return found


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition is true."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (other tasks make it true)
            await asyncio.sleep(0)


def is_alive(health: Health) -> bool:
    try:
        health.check_alive()
    except RuntimeError:
        return False
    return True


async def test_ready_replica_reports_healthy_dependencies(
    client: httpx.AsyncClient, health: Health
) -> None:
    await health.checks.check_once()
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "kubernetes": "ok",
        "storage": "ok",
        "details": {},
    }


@pytest.mark.parametrize("missing", [0, 1])
async def test_replica_is_not_ready_until_every_kind_is_listed(
    client: httpx.AsyncClient, health: Health, missing: int
) -> None:
    await health.checks.check_once()
    health.watches[missing].listed = False
    response = await client.get("/readyz")
    assert (response.status_code, response.json()["reason"]) == (503, "NotReady")
    assert (response.json()["kubernetes"], response.json()["storage"]) == ("ok", "ok")
    assert "not been listed" in response.json()["detail"]
    assert response.headers["retry-after"] == "2"


async def test_unready_replica_reports_the_cause(
    client: httpx.AsyncClient, health: Health, kubernetes: Dependency
) -> None:
    kubernetes.fails = UNAVAILABLE
    await health.checks.check_once()
    health.watches[0].listed = False
    problem = (await client.get("/readyz")).json()
    assert problem["kubernetes"] == "KubernetesUnavailable"
    assert "did not respond, or responded with an error (NoAnswer)." in problem["detail"]
    assert "10.0.0.1" not in str(problem)


async def test_unavailable_dependencies_do_not_make_the_replica_unready(
    client: httpx.AsyncClient, health: Health, storage: Dependency, kubernetes: Dependency
) -> None:
    storage.fails, kubernetes.fails = FULL, UNAVAILABLE
    await health.checks.check_once()
    response = await client.get("/readyz")

    assert response.status_code == 200

    body = response.json()
    assert (body["kubernetes"], body["storage"]) == ("KubernetesUnavailable", "StorageFull")
    assert body["details"]["storage"] == str(FULL)

    storage.fails = kubernetes.fails = None
    await health.checks.check_once()
    assert (await client.get("/readyz")).json()["storage"] == "ok"


async def test_job_status_and_the_page_work_while_storage_is_unavailable(
    client: httpx.AsyncClient, health: Health, jobs: Jobs, bucket: FakeBucket, storage: Dependency
) -> None:
    job_id = (await client.post("/submit", files={"file": ("a.png", picture())})).json()["job_id"]
    bucket.unavailable, storage.fails = True, FULL
    await health.checks.check_once()
    refused = await client.post("/submit", files={"file": ("a.png", picture())})
    assert (refused.status_code, refused.json()["reason"]) == (503, "StorageUnavailable")
    for path in (f"/status/{job_id}", "/ui", "/describers", "/readyz", "/healthz"):
        assert (await client.get(path)).status_code == 200, path


async def test_probes_send_no_requests_to_dependencies(
    client: httpx.AsyncClient, health: Health, storage: Dependency, kubernetes: Dependency
) -> None:
    for _ in range(10):
        await client.get("/readyz")
    assert (storage.checks, kubernetes.checks) == (0, 0)


async def test_dependency_that_does_not_respond_to_a_check_is_reported(
    client: httpx.AsyncClient, app: FastAPI, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unresponsive(Dependency):
        async def check(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(module, "CHECK_SECONDS", 0.01)
    app.state.health = health_of(jobs, Unresponsive(), Unresponsive())
    await app.state.health.checks.check_once()
    body = (await client.get("/readyz")).json()

    assert (body["kubernetes"], body["storage"]) == ("KubernetesUnavailable", "StorageUnavailable")
    assert body["details"]["storage"] == "Storage did not respond within 0.01 s."


async def test_checks_repeat_while_the_application_runs(
    client: httpx.AsyncClient, health: Health, storage: Dependency, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    storage.fails = FULL
    with health.checks.running():
        await until(lambda: storage.checks >= 3)
        assert (await client.get("/healthz")).status_code == 200


async def test_unexpected_end_of_the_checks_fails_the_liveness_probe(
    client: httpx.AsyncClient, health: Health, kubernetes: Dependency
) -> None:
    kubernetes.fails = ZeroDivisionError()
    with health.checks.running():
        await until(lambda: not is_alive(health))
        response = await client.get("/healthz")
    assert (response.status_code, response.json()["reason"]) == (500, "WatchStopped")
    assert "checks of storage and Kubernetes have stopped" in response.json()["detail"]


async def test_outage_is_logged_only_once(
    health: Health, kubernetes: Dependency, caplog: pytest.LogCaptureFixture
) -> None:
    kubernetes.fails = UNAVAILABLE
    for _ in range(3):
        await health.checks.check_once()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


class Pages:
    """A watch that yields one page of objects, and ends the list only when `proceed` is set."""

    def __init__(self) -> None:
        self.proceed = asyncio.Event()

    async def follow(self, path: str, selectors: object) -> AsyncIterator[WatchEvent]:
        yield WatchEvent("PAGE", [{}])
        await self.proceed.wait()
        yield WatchEvent("SYNCED")
        await asyncio.Event().wait()


async def test_resource_counts_as_listed_only_after_the_last_page() -> None:
    pages = Pages()
    server: Any = pages
    events: list[str] = []
    follower = WatchFollower(server, "/api/describers", lambda event: events.append(event.type))

    with follower.running():
        await until(lambda: bool(events))
        assert not follower.listed
        pages.proceed.set()
        await until(lambda: follower.listed)

    assert follower.resource == "describers"


DENIED = StoreUnavailableError("m", Reason.STORAGE_DENIED)
SKEW = StoreUnavailableError("m", Reason.CLOCK_SKEW)
GONE = ObjectNotFoundError("m")

Accesses = list[tuple[str, Exception | None]]

STORAGE_STATES: dict[str, tuple[Accesses, str]] = {
    "no access yet": ([], "NotChecked"),
    "a successful read": ([("read", None)], "ok"),
    "a missing object proves that the bucket responds": ([("read", SKEW), ("read", GONE)], "ok"),
    "the clocks differ": ([("read", SKEW)], "ClockSkew"),
    "the clocks agree again": ([("write", SKEW), ("read", None)], "ok"),
    "a read does not prove that a full disk has room again": (
        [("write", FULL), ("read", None)],
        "StorageFull",
    ),
    "a read does not prove that writing is allowed": (
        [("write", DENIED), ("read", None)],
        "StorageDenied",
    ),
    "a write proves that the disk has room": (
        [("write", FULL), ("read", None), ("write", None)],
        "ok",
    ),
    "reading is refused": ([("write", None), ("read", DENIED)], "StorageDenied"),
    "reading is allowed again": ([("read", DENIED), ("read", None)], "ok"),
}


@pytest.mark.parametrize("case", STORAGE_STATES)
def test_storage_state_after_reads_and_writes(case: str) -> None:
    now = 1000.0
    health = StorageHealth(lambda: now)
    accesses, state = STORAGE_STATES[case]
    for kind, error in accesses:
        access(health, kind, error)
    assert health.state.state == state


def access(health: StorageHealth, kind: str, error: Exception | None) -> None:
    try:
        with health.recording(writing=kind == "write"):
            if error:
                raise error
    except (StoreUnavailableError, ObjectNotFoundError):
        pass


def test_refused_write_counts_for_a_limited_time() -> None:
    times = [1000.0]
    health = StorageHealth(lambda: times[0])
    access(health, "write", FULL)
    access(health, "read", None)
    for elapsed, state in (
        (WRITE_REFUSAL_SECONDS - 1, "StorageFull"),
        (WRITE_REFUSAL_SECONDS, "ok"),
    ):
        times[0] = 1000.0 + elapsed
        assert health.state.state == state


@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_storage_is_ok_while_the_monotonic_clock_is_near_zero(seconds: float) -> None:
    health = StorageHealth(lambda: seconds)
    access(health, "read", None)
    assert health.state.is_ok


class FakeIdentity:
    """An API server with an identity ConfigMap, which fails while `unavailable` is set."""

    def __init__(self) -> None:
        self.unavailable = False

    async def request(self, method: str, path: str) -> Json:
        assert (method, path) == ("GET", "/api/v1/namespaces/ns/configmaps/identity")
        if self.unavailable:
            raise UNAVAILABLE
        return {"metadata": {"uid": "uid-1"}, "data": {"id": RELEASE_ID}}


async def test_folders_of_another_release_are_reported(
    client: httpx.AsyncClient, health: Health, app: FastAPI, behind: tuple[S3, Bucket]
) -> None:
    """The replica stays ready, because uploads do no harm."""
    s3, bucket = behind
    kube: Any = FakeIdentity()
    ownership = OwnershipCheck(bucket, kube, Settings("ns", identity_name="identity"))
    app.state.health = replace(health, ownership=ownership)
    await health.checks.check_once()
    s3.put(f"owners/{RELEASE_ID}", b'{"uid": "uid-2"}')

    await ownership.check_once()
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert (response.json()["ownership"], response.json()["storage"]) == ("StorageNotOurs", "ok")
    detail = response.json()["details"]["ownership"]
    assert "operator's log" in detail
    assert "uid-2" not in detail

    # While the check fails, nothing new is known.
    kube.unavailable = True
    await ownership.check_once()
    kube.unavailable, s3.fails = False, (503, "SlowDown")
    await ownership.check_once()
    assert (await client.get("/readyz")).json()["ownership"] == "StorageNotOurs"

    s3.fails = None
    s3.put(f"owners/{RELEASE_ID}", b'{"uid": "uid-1"}')
    await ownership.check_once()
    assert "ownership" not in (await client.get("/readyz")).json()


async def test_release_of_an_older_chart_does_not_check_the_owner() -> None:
    nothing: Any = None
    ownership = OwnershipCheck(nothing, nothing, Settings("ns"))
    with ownership.running():
        await asyncio.sleep(0)
        ownership.raise_if_ended()
