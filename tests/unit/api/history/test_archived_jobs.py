"""Tests of jobs that are no longer in etcd, but in the history."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_archive import Archive, job_body, put_into_etcd, report, result_body, uid_of
from api_fakes import SETTINGS, Cluster, FakeBucket
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.bucket import ObjectNotFoundError
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.history.database import Database


@pytest.mark.parametrize(
    ("phase", "expected"), [("done", (200, "A cat on a sofa")), ("failed", (409, "ContentRefused"))]
)
async def test_archived_job_is_answered_like_a_live_one(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive, phase: str, expected: tuple[int, str]
) -> None:
    body = job_body(1, phase=phase)
    await archive.add(body)
    report(jobs, body)
    paths = ("/status/job-1", "/result/job-1")
    live = [await client.get(path) for path in paths]
    jobs.cache.observe(WatchEvent("DELETED", [body]))
    archived = [await client.get(path) for path in paths]

    assert [it.json() for it in archived] == [it.json() for it in live]
    assert [it.status_code for it in archived] == [200, expected[0]]
    assert expected[1] in (archived[1].json().get("caption"), archived[1].json().get("reason"))


async def test_job_in_etcd_comes_before_the_history(
    client: httpx.AsyncClient, cluster: Cluster, archive: Archive
) -> None:
    """The name of an evicted job can be used again."""
    await archive.add(job_body(1, name="cat"))
    put_into_etcd(cluster, job_body(2, name="cat", phase="processing"))

    assert (await client.get("/status/cat")).json()["status"] == "processing"
    assert (await client.get("/result/cat")).json()["reason"] == "NotDone"


async def test_newest_job_with_a_name_is_answered(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    for number in (2, 3, 1):
        await archive.add(job_body(number, name="cat", caption=f"Cat {number}"))
    assert (await client.get("/result/cat")).json()["caption"] == "Cat 3"


async def test_job_that_was_evicted_after_the_last_event_is_found(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive
) -> None:
    """The cache still has it as unfinished."""
    report(jobs, job_body(1, phase="processing"))
    await archive.add(job_body(1))
    assert (await client.get("/result/job-1")).json()["caption"] == "A cat on a sofa"


async def test_job_with_a_tombstone_is_not_found(
    client: httpx.AsyncClient, archive: Archive, reader: HistoryReader
) -> None:
    await archive.add(job_body(1))
    await reader.add_tombstone(uid_of(1))
    await reader.add_tombstone(uid_of(1))

    for path in ("/status/job-1", "/result/job-1"):
        response = await client.get(path)
        assert (response.status_code, response.json()["reason"]) == (404, "JobNotFound")
    assert await archive.store.to_clean(10) == [uid_of(1)]


LARGE = json.dumps(result_body("A large result")).encode()


def large(number: int) -> dict[str, Any]:
    """Return a job whose result is in the bucket."""
    stored = {
        "describer": "local",
        "summary": "s",
        "key": f"results/aaaabbbbcccc/{uid_of(number)}/1",
        "sha256": hashlib.sha256(LARGE).hexdigest(),
        "sizeBytes": len(LARGE),
    }
    return job_body(number, status={"result": stored})


class MissingObjects(FakeBucket):
    """A bucket that reports missing objects."""

    async def get(self, key: str, max_bytes: int) -> bytes:
        if key not in self.objects:
            raise ObjectNotFoundError(key)
        return await super().get(key, max_bytes)


@pytest.fixture
def bucket() -> FakeBucket:
    return MissingObjects()


@pytest.mark.parametrize("is_live", [True, False])
@pytest.mark.parametrize("is_in_row", [True, False])
async def test_large_result_is_read_from_the_row_or_the_bucket(
    client: httpx.AsyncClient,
    jobs: Jobs,
    archive: Archive,
    bucket: FakeBucket,
    *,
    is_live: bool,
    is_in_row: bool,
) -> None:
    """The archiver moves it to the row, while the ImageJob still names the object."""
    body = large(1)
    await archive.add(body, result=json.loads(LARGE) if is_in_row else None)
    if not is_in_row:
        bucket.objects[body["status"]["result"]["key"]] = LARGE
    if is_live:
        report(jobs, body)

    assert (await client.get("/result/job-1")).json()["caption"] == "A large result"


@pytest.mark.parametrize("is_live", [True, False])
async def test_result_that_is_nowhere_is_gone(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive, *, is_live: bool
) -> None:
    await archive.add(large(1))
    if is_live:
        report(jobs, large(1))
    response = await client.get("/result/job-1")
    assert (response.status_code, response.json()["reason"]) == (410, "ResultGone")


async def test_result_that_the_database_refused_is_gone(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    await archive.add(job_body(1), refused="invalid byte sequence")
    response = await client.get("/result/job-1")
    assert (response.status_code, response.json()["reason"]) == (410, "ResultGone")
    assert "refused its result" in response.json()["detail"]
    assert (await client.get("/status/job-1")).json()["status"] == "done"


@pytest.mark.parametrize(
    ("kept", "spec", "seconds"),
    [
        (timedelta(hours=1), {}, 3600),
        (timedelta(hours=1), {"ttlSecondsAfterFinished": 60}, 60),
        (None, {"ttlSecondsAfterFinished": 60}, 60),
        (None, {}, None),
    ],
)
async def test_end_of_an_archived_job_is_reported(
    client: httpx.AsyncClient,
    jobs: Jobs,
    archive: Archive,
    kept: timedelta | None,
    spec: dict[str, Any],
    seconds: int | None,
) -> None:
    object.__setattr__(jobs, "settings", replace(SETTINGS, job_kept=kept))
    await archive.add(job_body(1, spec=spec))
    end = (await client.get("/status/job-1")).json()["expires_at"]
    if seconds is None:
        assert end is None
    else:
        ended = datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC)
        assert datetime.fromisoformat(end) == ended + timedelta(seconds=seconds)

    limits = (await client.get("/limits")).json()
    assert limits["defaultTtlSeconds"] == (kept.total_seconds() if kept else None)
    assert limits["history"] is True
    assert limits["answerSeconds"] == 103.0


async def test_impossible_id_is_not_looked_up(
    client: httpx.AsyncClient, reader: HistoryReader
) -> None:
    for name in ("x' OR '1'='1", "%00", "job-%F0%9F%90%88", "x" * 10_000, "job-1%5C"):
        for path in ("/status/", "/result/"):
            assert (await client.get(path + name)).status_code == 404, name
    assert reader.outcomes.total() == 0


async def test_row_of_a_newer_release_is_unreadable(
    client: httpx.AsyncClient, archive: Archive, history_database: Database
) -> None:
    await archive.add(job_body(1, name="cat"))
    newer = json.dumps(job_body(1, spec={"describer": {"name": "local"}}))
    await history_database.run(lambda it: it.execute("UPDATE images SET body = %s", (newer,)))
    response = await client.get("/status/cat")
    assert (response.status_code, response.json()["reason"]) == (502, "JobUnreadable")

    (listed,) = (await client.get("/jobs")).json()["jobs"]
    assert (listed["job_id"], listed["status"], listed["describer"]) == ("cat", "done", "local")
