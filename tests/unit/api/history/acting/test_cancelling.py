"""Tests of POST /jobs/{id}/cancel: every phase at every place, races and refusals."""

from typing import Any

import pytest
from acting_fixture import Places, Replica, uid
from fakes.job_api import JobApi

PATH = "/jobs/job-1/cancel"


@pytest.mark.parametrize(
    ("place", "phase", "expected"),
    [
        ("live", "queued", (200, "queued")),
        ("live", "processing", (200, "processing")),
        ("live", "done", (409, "JobFinished")),
        ("live", "failed", (409, "JobFinished")),
        ("live", "cancelled", (200, "failed")),
        ("archived", "done", (409, "JobFinished")),
        ("archived", "cancelled", (200, "failed")),
        ("evicted", "done", (409, "JobFinished")),
        ("evicted", "failed", (409, "JobFinished")),
        ("evicted", "cancelled", (200, "failed")),
    ],
)
async def test_every_phase_at_every_place(
    one: Replica, places: Places, place: str, phase: str, expected: tuple[int, str]
) -> None:
    await places.put(place, phase)
    response = await one.client.post(PATH)
    answer = response.json()
    found = answer["status"] if response.status_code == 200 else answer["reason"]
    assert (response.status_code, found) == expected

    if response.status_code == 200:
        assert answer == (await one.client.get("/status/job-1")).json()
    else:
        assert answer["job_status"] == phase
        assert place == "evicted" or not places.job("job-1").spec.cancel


async def test_cancelling_is_a_conditional_merge_patch_that_may_be_repeated(
    one: Replica, places: Places, api: JobApi
) -> None:
    body = await places.put("live", "queued")
    for _ in range(2):
        assert (await one.client.post(PATH)).json()["status"] == "queued"

    metadata = {"uid": uid(), "resourceVersion": body["metadata"]["resourceVersion"]}
    assert api.patches == [{"metadata": metadata, "spec": {"cancel": True}}]


async def test_job_that_another_replica_knows_better_is_cancelled(
    one: Replica, other: Replica, places: Places, api: JobApi
) -> None:
    one.report(await places.put("live", "queued"))
    api.change("job-1", status={"phase": "processing"})
    assert (await other.client.post(PATH)).json()["status"] == "processing"
    # This replica's watch is behind.
    assert (await one.client.post(PATH)).json()["status"] == "processing"
    assert len(api.patches) == 1


async def test_response_is_not_taken_back_by_older_events(
    one: Replica, places: Places, api: JobApi
) -> None:
    queued = await places.put("live", "queued")
    one.report(queued)
    api.change("job-1", status={"phase": "processing"})
    assert (await one.client.post(PATH)).json()["status"] == "processing"
    assert await one.status("job-1") == "processing"

    one.report(queued, "MODIFIED")
    assert await one.status("job-1") == "processing"
    assert one.jobs.cache.unfinished == 1

    api.change("job-1", status={"phase": "failed"})
    one.report(api.bodies["job-1"], "MODIFIED")
    assert await one.status("job-1") == "failed"
    assert one.jobs.cache.unfinished == 0


async def nothing(_: str) -> None:
    """Do nothing."""


async def test_newer_event_is_kept(one: Replica, places: Places, api: JobApi) -> None:
    """The watch may be faster than the response to the change."""
    await places.put("live", "queued")

    async def finish(_: str) -> None:
        api.change("job-1")
        newest = {**api.bodies["job-1"], "status": {"phase": "failed"}}
        newest["metadata"] = {**newest["metadata"], "resourceVersion": "999"}
        one.report(newest, "MODIFIED")
        api.before_patch = nothing

    api.before_patch = finish
    assert (await one.client.post(PATH)).json()["status"] == "queued"
    assert await one.status("job-1") == "failed"


async def test_job_that_finishes_meanwhile_is_left_alone(
    one: Replica, places: Places, api: JobApi
) -> None:
    await places.put("live", "processing")

    async def finish(_: str) -> None:
        api.finish("job-1")

    api.before_patch = finish
    response = await one.client.post(PATH)
    assert (response.status_code, response.json()["reason"]) == (409, "JobFinished")
    assert not places.job("job-1").spec.cancel


async def test_job_that_is_deleted_meanwhile_is_not_found(
    one: Replica, places: Places, api: JobApi
) -> None:
    await places.put("live", "processing")

    async def delete(name: str) -> None:
        api.delete(name)

    api.before_patch = delete
    response = await one.client.post(PATH)
    assert (response.status_code, response.json()["reason"]) == (404, "JobNotFound")


async def test_job_that_is_replaced_meanwhile_is_cancelled_in_its_new_state(
    one: Replica, places: Places, api: JobApi
) -> None:
    await places.put("live", "processing")

    async def replace(name: str) -> None:
        api.before_patch = nothing
        api.delete(name)
        api.put(places.body("queued", 2, name=name))

    api.before_patch = replace
    assert (await one.client.post(PATH)).json()["status"] == "queued"
    assert (places.job("job-1").metadata.uid, places.job("job-1").spec.cancel) == (uid(2), True)


async def test_job_that_always_changes_is_reported(
    one: Replica, places: Places, api: JobApi
) -> None:
    await places.put("live", "processing")

    async def change(name: str) -> None:
        api.change(name)

    api.before_patch = change
    response = await one.client.post(PATH)
    assert (response.status_code, response.json()["reason"]) == (503, "KubernetesUnavailable")


async def test_lost_answer_is_reported_and_the_request_can_be_repeated(
    one: Replica, places: Places, api: JobApi
) -> None:
    await places.put("live", "queued")
    api.loses_answers = 1
    first = await one.client.post(PATH)
    assert (first.status_code, first.json()["reason"]) == (503, "KubernetesUnavailable")
    assert (await one.client.post(PATH)).status_code == 200
    assert len(api.patches) == 1


async def test_refusal_of_kubernetes_is_reported(one: Replica, places: Places, api: JobApi) -> None:
    await places.put("live", "queued")
    api.refuses["job-1"] = (403, "a policy forbids it")
    response = await one.client.post(PATH)
    assert (response.status_code, response.json()["reason"]) == (403, "ActionRefused")
    assert "a policy forbids it. An administrator" in response.json()["detail"]


@pytest.mark.parametrize("job", ["unknown", "No..thing", "holiday.1"])
async def test_unknown_job_is_not_found(one: Replica, job: str) -> None:
    response = await one.client.post(f"/jobs/{job}/cancel")
    assert (response.status_code, response.json()["reason"]) == (404, "JobNotFound")


async def test_unfinished_job_is_cancelled_while_the_database_is_away(
    away: Replica, places: Places
) -> None:
    await places.put("live", "queued")
    assert (await away.client.post(PATH)).status_code == 200
    unknown = await away.client.post("/jobs/unknown/cancel")
    assert (unknown.status_code, unknown.json()["reason"]) == (503, "HistoryUnavailable")


async def test_shard_is_no_job(one: Replica, api: JobApi) -> None:
    images = {"batch": "b", "batchUID": "u", "manifest": "batches/m", "first": 0, "count": 1}
    body: dict[str, Any] = {
        "metadata": {
            "name": "shard",
            "uid": uid(),
            "labels": {"vision-node.dev/batch": "u"},
        },
        "spec": {"images": images},
    }
    api.put(body)
    for response in (
        await one.client.post("/jobs/shard/cancel"),
        await one.client.delete("/jobs/shard"),
    ):
        assert response.status_code == 404
    assert api.bodies.keys() == {"shard"}


async def test_without_a_database(without_history: Replica, places: Places) -> None:
    await places.put("live", "queued")
    assert (await without_history.client.post(PATH)).status_code == 200
    assert (await without_history.client.post("/jobs/job-2/cancel")).status_code == 404
