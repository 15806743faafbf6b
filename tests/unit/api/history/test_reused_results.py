"""Tests of reuse=true with jobs that are no longer in etcd, but in the history."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from api_archive import START, Archive, put_into_etcd, uid_of
from api_fakes import SETTINGS, Cluster
from reuse_requests import DONE, FAILED, LARGE, RESULT, again, first_job, stored_result
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.history.database import Database, HistoryUnavailableError
from vision_node_contract.names import REUSE_LABEL
from vision_node_operator.archiver.history.store import HistoryStore


@pytest.fixture(autouse=True)
def kept_forever(jobs: Jobs) -> None:
    object.__setattr__(jobs, "settings", replace(SETTINGS, job_kept=None))


async def evicted(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, number: int = 1, **fields: str
) -> dict[str, Any]:
    """Return a finished ImageJob of the image that is in no cache and not in etcd."""
    name = await first_job(client, **fields)
    body = cluster.jobs.pop(name).to_json()
    created = START + timedelta(seconds=number)
    body["metadata"] |= {"uid": uid_of(number), "creationTimestamp": f"{created:%FT%TZ}"}
    body["status"] = DONE
    jobs.cache.observe(WatchEvent("DELETED", [body]))
    return body


async def test_archived_result_is_reused(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, archive: Archive
) -> None:
    body = await evicted(client, cluster, jobs)
    await archive.add(body)
    response = await again(client)

    name = body["metadata"]["name"]
    assert response.status_code == 200
    assert response.json() == {"job_id": name, "status": "done", "reused": True}
    assert cluster.jobs == {}
    assert (await client.get(f"/result/{name}")).json()["caption"] == RESULT["caption"]


@pytest.mark.parametrize("is_evicted", [True, False])
async def test_large_result_that_was_moved_to_its_row_is_reused(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, archive: Archive, *, is_evicted: bool
) -> None:
    body = await evicted(client, cluster, jobs)
    body["status"] = stored_result(uid_of(1))
    await archive.add(body, result=RESULT)
    if not is_evicted:
        put_into_etcd(cluster, body)
        jobs.cache.observe(WatchEvent("ADDED", [body]))
    assert (await again(client)).json()["job_id"] == body["metadata"]["name"]


OTHERS: dict[str, dict[str, Any]] = {
    "it has failed": {"status": FAILED},
    "it has expired": {"spec": {"ttlSecondsAfterFinished": 60}},
    "it belongs to an owner": {"labels": {"vision-node.dev/owner": "ann"}},
    "it was submitted with other options": {"labels": {REUSE_LABEL: "0" * 32}},
    "an older release archived it": {"labels": {REUSE_LABEL: None}},
    "a fallback has described it": {
        "status": {
            **DONE,
            "result": {**DONE["result"], "fallback": {"from": "metadata", "reason": "X"}},
        }
    },
    "its label was copied from another image": {
        "spec": {"image": {"key": "images/aaaabbbbcccc/1", "sha256": "0" * 64}}
    },
}


@pytest.mark.parametrize("case", OTHERS)
async def test_archived_job_is_not_reused_because(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, archive: Archive, case: str
) -> None:
    body, parts = await evicted(client, cluster, jobs), OTHERS[case]
    labels = {**body["metadata"]["labels"], **parts.get("labels", {})}
    body["metadata"]["labels"] = {key: it for key, it in labels.items() if it is not None}
    body["spec"] |= parts.get("spec", {})
    body["status"] = parts.get("status", DONE)
    await archive.add(body)

    response = await again(client)
    assert (response.status_code, response.json()["reused"]) == (202, False)
    assert response.json()["job_id"] != body["metadata"]["name"]


async def test_deleted_job_is_not_reused(
    client: httpx.AsyncClient,
    cluster: Cluster,
    jobs: Jobs,
    archive: Archive,
    reader: HistoryReader,
) -> None:
    await archive.add(await evicted(client, cluster, jobs))
    await reader.add_tombstone(uid_of(1))
    assert (await again(client)).json()["reused"] is False


async def test_result_that_the_database_refused_is_not_reused(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, archive: Archive
) -> None:
    await archive.add(await evicted(client, cluster, jobs), refused="invalid byte sequence")
    assert (await again(client)).json()["reused"] is False


async def test_result_that_is_only_in_the_bucket_is_not_reused(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, archive: Archive
) -> None:
    body = await evicted(client, cluster, jobs)
    body["status"] = stored_result(uid_of(1))
    await archive.add(body)
    jobs.bucket.objects[body["status"]["result"]["key"]] = LARGE  # type: ignore[attr-defined]
    assert (await again(client)).json()["reused"] is False


async def test_name_of_a_newer_job_does_not_stand_for_the_archived_one(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, archive: Archive
) -> None:
    """An Idempotency-Key, from which the name is derived, can be used again after a day."""
    body = await evicted(client, cluster, jobs)
    await archive.add(body)
    name = body["metadata"]["name"]
    newer = {**body, "metadata": {"name": name, "uid": uid_of(2)}, "status": {"phase": "queued"}}
    put_into_etcd(cluster, newer)
    assert (await again(client)).json()["job_id"] != name

    del cluster.jobs[name]
    other = {**body["spec"], "options": {"prompt": "Which breed?"}}
    await archive.add({**body, "metadata": {**newer["metadata"]}, "spec": other})
    assert (await again(client)).json()["job_id"] != name


async def test_result_of_any_age_is_reused(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, history_database: Database
) -> None:
    """Chunks are small here, so that a search needs several statements."""
    archive = Archive(HistoryStore(history_database, 1))
    oldest = await evicted(client, cluster, jobs, 1)
    await archive.add(oldest)
    for number in range(2, 150):
        other = {**oldest, "metadata": {**oldest["metadata"], "uid": uid_of(number)}}
        created = START + timedelta(seconds=number)
        other["metadata"] |= {
            "name": f"job-{number}",
            "labels": {REUSE_LABEL: f"{number:032x}"},
            "creationTimestamp": f"{created:%FT%TZ}",
        }
        await archive.add(other)

    assert (await again(client)).json()["job_id"] == oldest["metadata"]["name"]
    assert (await again(client, prompt="Which breed?")).json()["reused"] is False


async def test_newest_result_is_reused(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, archive: Archive
) -> None:
    bodies = [await evicted(client, cluster, jobs, number) for number in (1, 3, 2)]
    await archive.add(*bodies)
    assert (await again(client)).json()["job_id"] == bodies[1]["metadata"]["name"]


async def test_expired_newest_result_does_not_hide_an_older_one(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, archive: Archive
) -> None:
    older = await evicted(client, cluster, jobs, 1)
    newer = await evicted(client, cluster, jobs, 2)
    newer["spec"]["ttlSecondsAfterFinished"] = 60
    await archive.add(older, newer)
    assert (await again(client)).json()["job_id"] == older["metadata"]["name"]


async def test_search_for_words_does_not_find_the_key(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, archive: Archive
) -> None:
    body = await evicted(client, cluster, jobs)
    await archive.add(body)
    key = body["metadata"]["labels"][REUSE_LABEL]
    for text in (key, f"#{key}", f"0#{key}", key[:8]):
        assert (await client.get("/jobs", params={"q": text})).json()["jobs"] == [], text


async def test_unfinished_job_is_found_while_the_history_is_away(
    client: httpx.AsyncClient,
    jobs: Jobs,
    reader: HistoryReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*arguments: object, **options: object) -> None:
        raise HistoryUnavailableError("the database accepts no connection")

    monkeypatch.setattr(HistoryReader, "find_reusable", away)
    assert (await again(client)).json()["reused"] is False
    assert (await again(client)).json()["reused"] is True


async def test_job_that_is_evicted_and_still_in_the_cache_is_reused(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, archive: Archive
) -> None:
    body = await evicted(client, cluster, jobs)
    await archive.add(body)
    jobs.cache.observe(WatchEvent("ADDED", [body]))
    assert (await again(client)).json()["job_id"] == body["metadata"]["name"]
