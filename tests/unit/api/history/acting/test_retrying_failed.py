"""Tests of POST /jobs/retry: selection, repetition, what is left out, and early ends."""

from typing import Any

import pytest
from acting_fixture import Places, Replica
from fakes.job_api import JobApi
from fakes.s3 import S3
from vision_node_api.services.acting import retry_failed
from vision_node_api.services.history import scan
from vision_node_api.services.history.reader import HistoryReader
from vision_node_contract.history.database import HistoryUnavailableError

REASON = "ProviderUnavailable"


async def fail(places: Places, one: Replica, place: str, number: int, **changes: Any) -> None:
    """Create a failed job, and report it if it is in etcd."""
    body = await places.put(place, "failed", number, **{"reason": REASON, **changes})
    if place != "evicted":
        one.report(body)


async def retry(replica: Replica, key: str | None = None, **document: Any) -> dict[str, Any]:
    """Retry failed jobs, and return the response."""
    headers = {"Idempotency-Key": key} if key else {}
    body = {"reason": REASON, **document}
    response = await replica.client.post("/jobs/retry", json=body, headers=headers)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def originals(found: dict[str, Any]) -> list[str]:
    """Return the jobs that were retried."""
    return [it["retry_of"] for it in found["retried"]]


@pytest.fixture
async def mixed(one: Replica, places: Places) -> Places:
    """Jobs that failed at all places, from 1 (the oldest) to 5, and jobs that are not meant."""
    for number, place in enumerate(("evicted", "archived", "live", "evicted", "live"), 1):
        await fail(
            places, one, place, number, spec={"describer": "openai" if number < 3 else "local"}
        )
    await fail(places, one, "live", 6, reason="OutOfMemory")
    await fail(places, one, "evicted", 7, reason="OutOfMemory")
    one.report(await places.put("archived", "done", 8))
    one.report(await places.put("live", "processing", 9))
    return places


SELECTIONS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "all": ({}, [5, 4, 3, 2, 1]),
    "limit": ({"limit": 2}, [5, 4]),
    "describer": ({"describer": "openai"}, [2, 1]),
    "after": ({"after": "2026-01-01T00:00:03Z"}, [5, 4, 3]),
    "before": ({"before": "2026-01-01T00:00:03Z"}, [2, 1]),
    "both": ({"after": "2026-01-01T00:00:02Z", "before": "2026-01-01T01:00:04+01:00"}, [3, 2]),
    "another reason": ({"reason": "OutOfMemory"}, [7, 6]),
    "none": ({"reason": "NoWorker"}, []),
}


@pytest.mark.parametrize("case", SELECTIONS)
async def test_selection_from_the_newest_to_the_oldest(
    one: Replica, mixed: Places, case: str
) -> None:
    document, numbers = SELECTIONS[case]
    found = await retry(one, **document)
    assert originals(found) == [f"job-{number}" for number in numbers]
    assert found["failed"] == []
    assert (found["next"] is not None) == (case == "limit")
    for it in found["retried"]:
        assert mixed.job(it["job_id"]).spec.retry_of == it["retry_of"]


@pytest.mark.parametrize("place", ["live", "evicted"])
async def test_reason_may_have_any_characters(one: Replica, places: Places, place: str) -> None:
    await fail(places, one, place, 1, reason='say "why" \u00e9')
    assert originals(await retry(one, reason='say "why" \u00e9')) == ["job-1"]


async def test_pages_have_each_job_once(one: Replica, mixed: Places) -> None:
    found, pages = await retry(one, limit=2), []
    pages.append(originals(found))
    while found["next"]:
        found = await retry(one, limit=2, cursor=found["next"])
        pages.append(originals(found))
    assert pages == [["job-5", "job-4"], ["job-3", "job-2"], ["job-1"]]


async def test_changes_are_those_of_a_retry(one: Replica, places: Places) -> None:
    await fail(places, one, "evicted", 1)
    changes = {"describer": "openai", "prompt": "cats?"}
    (it,) = (await retry(one, changes=changes))["retried"]
    spec = places.job(it["job_id"]).spec
    assert spec.options
    assert (spec.describer, spec.options.prompt) == ("openai", "cats?")


async def test_repetition_with_the_same_key_returns_the_same_jobs(
    one: Replica, other: Replica, mixed: Places
) -> None:
    first = await retry(one, key="k")
    count = len(mixed.api.bodies)
    for name in [it["job_id"] for it in first["retried"]][:2]:
        one.report(mixed.api.bodies[name])  # the watch reports some of the new jobs

    assert await retry(one, key="k") == first
    # Another replica knows the jobs of its own cache, and those in the history.
    assert {it["job_id"] for it in (await retry(other, key="k"))["retried"]} <= {
        it["job_id"] for it in first["retried"]
    }
    assert len(mixed.api.bodies) == count


async def test_repetition_without_a_key_retries_nothing_twice(one: Replica, mixed: Places) -> None:
    assert len((await retry(one))["retried"]) == 5
    assert await retry(one) == {"retried": [], "failed": [], "next": None}
    assert await retry(one, changes={"prompt": "else"}) == {
        "retried": [],
        "failed": [],
        "next": None,
    }


async def test_job_that_a_newer_one_retries_is_left_out(
    one: Replica, places: Places, api: JobApi
) -> None:
    await fail(places, one, "evicted", 1)
    await fail(places, one, "live", 2)
    response = await one.client.post("/jobs/job-1/retry")
    one.report(api.bodies[response.json()["job_id"]])
    assert originals(await retry(one, key="k")) == ["job-2"]


async def test_retry_of_an_older_job_with_the_same_name_does_not_count(
    one: Replica, places: Places
) -> None:
    older = await places.put("live", "done", 1, spec={"retryOf": "job-2"})
    one.report(older)
    await fail(places, one, "evicted", 2)
    assert originals(await retry(one)) == ["job-2"]


async def test_job_whose_image_is_gone_does_not_stop_the_others(
    one: Replica, mixed: Places, s3: S3
) -> None:
    del s3.objects["images/aaaabbbbcccc/4"]
    found = await retry(one)
    assert originals(found) == ["job-5", "job-3", "job-2", "job-1"]
    (gone,) = found["failed"]
    assert (gone["job_id"], gone["reason"]) == ("job-4", "ImageGone")
    assert gone["detail"].endswith("Submit it again.")


async def test_outage_of_storage_is_the_answer_if_nothing_was_retried(
    one: Replica, mixed: Places, s3: S3
) -> None:
    s3.fails = (503, "SlowDown")
    response = await one.client.post("/jobs/retry", json={"reason": REASON})
    assert (response.status_code, response.json()["reason"]) == (503, "StorageUnavailable")


async def test_limit_on_jobs_ends_the_request_early(
    one: Replica, mixed: Places, api: JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_failed, "PARALLEL", 2)
    created = 0

    async def refuse_the_fourth(_: str) -> None:
        nonlocal created
        created += 1
        if created == 4:
            api.refuses_new = (403, 'imagejobs "x" is forbidden: exceeded quota: few')

    api.before_create = refuse_the_fourth
    found = await retry(one)
    assert len(found["retried"]) == 3
    (refused,) = found["failed"]
    assert refused["reason"] == "QuotaExceeded"

    api.refuses_new = None
    rest = await retry(one, cursor=found["next"])
    assert {*originals(found), *originals(rest)} == {f"job-{number}" for number in range(1, 6)}
    assert rest["next"] is None


async def test_time_is_limited(
    one: Replica, mixed: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time has always passed, so the answer only says where to continue."""
    monkeypatch.setattr(one.failed_retry, "max_seconds", 0.0)
    found = await retry(one)
    assert (found["retried"], found["failed"]) == ([], [])

    monkeypatch.undo()
    assert len((await retry(one, cursor=found["next"]))["retried"]) == 5


async def test_request_that_finds_nothing_in_time_says_where_to_continue(
    one: Replica, mixed: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each scan of the history looks at two rows, and each request has time for one scan."""
    monkeypatch.setattr(scan, "SCAN_SECONDS", 0.0)
    monkeypatch.setattr(scan, "PIECE_ROWS", 2)
    await fail(mixed, one, "evicted", 0, reason="NoWorker")
    monkeypatch.setattr(one.failed_retry, "max_seconds", 0.0)
    first = await retry(one, reason="NoWorker")
    second = await retry(one, reason="NoWorker", cursor=first["next"])
    assert (originals(first), originals(second)) == ([], [])
    assert None not in (first["next"], second["next"])
    assert first["next"] != second["next"]

    monkeypatch.setattr(one.failed_retry, "max_seconds", 20.0)
    assert originals(await retry(one, reason="NoWorker", cursor=second["next"])) == ["job-0"]


async def test_outage_of_the_history_ends_the_request_early(
    one: Replica, mixed: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history is away when the second page is to be read."""
    original = HistoryReader.find_jobs
    monkeypatch.setattr(retry_failed, "PAGE_JOBS", 2)

    async def lost(reader: HistoryReader, *arguments: Any) -> Any:
        raise HistoryUnavailableError("away")

    async def once(reader: HistoryReader, *arguments: Any) -> Any:
        monkeypatch.setattr(HistoryReader, "find_jobs", lost)
        return await original(reader, *arguments)

    monkeypatch.setattr(HistoryReader, "find_jobs", once)
    found = await retry(one)
    assert originals(found) == ["job-5", "job-4"]

    response = await one.client.post(
        "/jobs/retry", json={"reason": REASON, "cursor": found["next"]}
    )
    assert (response.status_code, response.json()["reason"]) == (503, "HistoryUnavailable")

    monkeypatch.setattr(HistoryReader, "find_jobs", original)
    assert originals(await retry(one, cursor=found["next"])) == ["job-3", "job-2", "job-1"]


async def test_one_request_at_a_time(
    one: Replica, mixed: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = HistoryReader.find_jobs
    refused: list[tuple[int, str]] = []

    async def with_another(reader: HistoryReader, *arguments: Any) -> Any:
        response = await one.client.post("/jobs/retry", json={"reason": REASON})
        refused.append((response.status_code, response.json()["reason"]))
        return await original(reader, *arguments)

    monkeypatch.setattr(HistoryReader, "find_jobs", with_another)
    assert len((await retry(one))["retried"]) == 5
    assert refused == [(429, "TooManyRetries")]


INVALID: dict[str, tuple[dict[str, Any], int, str]] = {
    "no reason": ({}, 422, "OptionsInvalid"),
    "no word": ({"reason": "No\u0000Worker"}, 422, "OptionsInvalid"),
    "no name": ({"reason": "X", "describer": "\u0000"}, 422, "OptionsInvalid"),
    "unknown member": ({"reason": "X", "promt": "x"}, 422, "OptionsInvalid"),
    "unknown change": ({"reason": "X", "changes": {"promt": "x"}}, 422, "OptionsInvalid"),
    "too many": ({"reason": "X", "limit": 1001}, 422, "OptionsInvalid"),
    "none": ({"reason": "X", "limit": 0}, 422, "OptionsInvalid"),
    "time without zone": ({"reason": "X", "after": "2026-01-01T00:00:00"}, 422, "OptionsInvalid"),
    "time as a number": ({"reason": "X", "before": 0}, 422, "OptionsInvalid"),
    "number as boolean": ({"reason": "X", "changes": {"text": 0}}, 422, "OptionsInvalid"),
    "boolean as number": ({"reason": "X", "changes": {"priority": True}}, 422, "OptionsInvalid"),
    "cursor": ({"reason": "X", "cursor": "!"}, 400, "InvalidCursor"),
    "describer": ({"reason": "X", "changes": {"describer": "nobody"}}, 422, "DescriberNotFound"),
}


@pytest.mark.parametrize("case", INVALID)
async def test_invalid_requests(one: Replica, case: str) -> None:
    document, status, reason = INVALID[case]
    response = await one.client.post("/jobs/retry", json=document)
    assert (response.status_code, response.json()["reason"]) == (status, reason)


async def test_database_that_is_away_is_reported(away: Replica, places: Places) -> None:
    await fail(places, away, "live", 1)
    response = await away.client.post("/jobs/retry", json={"reason": REASON})
    assert (response.status_code, response.json()["reason"]) == (503, "HistoryUnavailable")
    assert places.api.bodies.keys() == {"job-1"}


async def test_without_a_database(without_history: Replica, places: Places) -> None:
    await fail(places, without_history, "live", 1)
    assert originals(await retry(without_history)) == ["job-1"]
    assert originals(await retry(without_history)) == []
