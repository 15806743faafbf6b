"""Tests of DELETE /jobs/{id}: every phase at every place, races and outages."""

from itertools import product
from typing import Any

import pytest
from acting_fixture import Places, Replica, uid
from api_archive import Archive, uid_of
from fakes.job_api import JobApi
from vision_node_api.services.history.reader import HistoryReader
from vision_node_contract.history.database import HistoryUnavailableError

PATH = "/jobs/job-1"


async def delete(replica: Replica, path: str = PATH) -> tuple[int, str]:
    """Delete a job; return the status and the reason."""
    response = await replica.client.delete(path)
    reason = response.json()["reason"] if response.content else ""
    return response.status_code, reason


UNFINISHED = [("live", "queued"), ("live", "processing")]
FINISHED = list(product(("live", "archived", "evicted"), ("done", "failed", "cancelled")))


@pytest.mark.parametrize(("place", "phase"), UNFINISHED + FINISHED)
async def test_every_phase_at_every_place(
    one: Replica, other: Replica, places: Places, archive: Archive, place: str, phase: str
) -> None:
    body = await places.put(place, phase)
    if place != "evicted":
        one.report(body)
    assert await one.status("job-1") != "JobNotFound"

    assert await delete(one) == (204, "")
    assert await one.status("job-1") == "JobNotFound"
    assert await other.status("job-1") == "JobNotFound"
    for replica in (one, other):
        assert await delete(replica) == (404, "JobNotFound")

    assert places.api.bodies == {}
    assert await archive.store.to_clean(10) == ([uid()] if (place, phase) in FINISHED else [])


async def nothing(_: str) -> None:
    """Do nothing."""


async def test_older_events_do_not_bring_it_back(one: Replica, places: Places, api: JobApi) -> None:
    body = await places.put("live", "processing")
    one.report(body)
    assert await delete(one) == (204, "")

    one.report(body, "MODIFIED")
    assert await one.status("job-1") == "JobNotFound"
    assert (one.jobs.cache.unfinished, one.jobs.cache.total) == (0, 0)

    new = await places.put("live", "queued", 2, name="job-1")
    one.report(new)
    assert await one.status("job-1") == "queued"


async def test_job_that_changes_meanwhile_is_deleted_in_its_new_state(
    one: Replica, places: Places, api: JobApi, archive: Archive
) -> None:
    """It ends and is archived after it was read. Its row would be found."""
    await places.put("live", "processing")

    async def finish(name: str) -> None:
        api.before_delete = nothing
        api.finish(name)
        await archive.add(api.bodies[name])

    api.before_delete = finish
    assert await delete(one) == (204, "")
    assert await one.status("job-1") == "JobNotFound"
    assert await archive.store.to_clean(10) == [uid()]


async def test_job_that_is_evicted_meanwhile_is_deleted(
    one: Replica, places: Places, api: JobApi
) -> None:
    await places.put("archived", "done")

    async def evict(name: str) -> None:
        api.delete(name)

    api.before_delete = evict
    assert await delete(one) == (204, "")
    assert await one.status("job-1") == "JobNotFound"


async def test_job_that_is_archived_and_evicted_between_two_looks_is_deleted(
    one: Replica, places: Places, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, looks = HistoryReader.uids_named, 0

    async def slow(reader: HistoryReader, name: str, owner: str | None) -> set[str]:
        nonlocal looks
        found = await original(reader, name, owner)
        looks += 1
        if looks == 1:
            await places.put("evicted", "done")
        return found

    monkeypatch.setattr(HistoryReader, "uids_named", slow)
    assert await delete(one) == (204, "")
    assert await one.status("job-1") == "JobNotFound"


async def test_new_job_with_the_same_name_is_kept(
    one: Replica, places: Places, api: JobApi, archive: Archive
) -> None:
    await places.put("archived", "done")

    async def replace(name: str) -> None:
        api.put(places.body("done", 2, name=name))
        await archive.add(api.bodies[name])

    api.after_delete = replace
    assert await delete(one) == (204, "")
    assert await one.status("job-1") == "done"
    assert places.job("job-1").metadata.uid == uid(2)
    assert await archive.store.to_clean(10) == [uid()]


async def test_older_jobs_with_the_same_name_do_not_take_its_place(
    one: Replica, places: Places, archive: Archive
) -> None:
    for number in (3, 4):
        await places.put("evicted", "done", number, name="job-1")
    await places.put("live", "queued")
    assert await delete(one) == (204, "")
    assert await one.status("job-1") == "JobNotFound"
    assert await archive.store.to_clean(10) == [uid_of(3), uid_of(4)]


async def test_lost_answer_can_be_repeated(one: Replica, places: Places, api: JobApi) -> None:
    await places.put("archived", "done")
    api.loses_answers = 1
    assert await delete(one) == (503, "KubernetesUnavailable")
    assert await delete(one) == (204, "")
    assert await delete(one) == (404, "JobNotFound")


async def test_refusal_of_kubernetes_is_reported(
    one: Replica, places: Places, api: JobApi, archive: Archive
) -> None:
    await places.put("archived", "done")
    api.refuses["job-1"] = (403, "a webhook forbids it")
    assert await delete(one) == (403, "ActionRefused")
    assert await archive.store.to_clean(10) == []


@pytest.mark.parametrize("job", ["unknown", "No..thing", "holiday.1"])
async def test_unknown_job_is_not_found(one: Replica, job: str) -> None:
    assert await delete(one, f"/jobs/{job}") == (404, "JobNotFound")


@pytest.mark.parametrize(("place", "phase"), [("live", "queued"), ("archived", "done")])
async def test_nothing_is_deleted_while_the_database_is_away(
    away: Replica, places: Places, api: JobApi, place: str, phase: str
) -> None:
    await places.put(place, phase)
    bodies = dict(api.bodies)
    assert await delete(away) == (503, "HistoryUnavailable")
    assert api.bodies == bodies


async def test_database_that_goes_away_after_the_deletion_is_reported(
    one: Replica, other: Replica, places: Places, api: JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    await places.put("archived", "done")
    with monkeypatch.context() as patched:
        patched.setattr(HistoryReader, "add_tombstone", unavailable)
        assert await delete(one) == (503, "HistoryUnavailable")
    assert api.bodies == {}

    assert await delete(other) == (204, "")
    assert await other.status("job-1") == "JobNotFound"


async def unavailable(*_: Any) -> None:
    """Fail like a database that is away."""
    raise HistoryUnavailableError("away")


async def test_without_a_database(without_history: Replica, places: Places) -> None:
    await places.put("live", "done")
    assert await delete(without_history) == (204, "")
    assert await delete(without_history) == (404, "JobNotFound")
