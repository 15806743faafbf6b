"""Tests of how long a finished job is kept: the option `ttlSeconds`, and `expires_at`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_fakes import SETTINGS, Cluster, FakeBucket, picture
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import WatchEvent

PNG = picture()
MAXIMUM = SETTINGS.max_ttl_seconds


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("60", 60), ("3600", 3600), (str(MAXIMUM), MAXIMUM), (" ", None), (None, None)],
)
@pytest.mark.parametrize("place", ["form", "query"])
async def test_time_to_live_is_written_to_the_imagejob(
    client: httpx.AsyncClient, cluster: Cluster, place: str, sent: str | None, stored: int | None
) -> None:
    fields = {} if sent is None else {"ttlSeconds": sent}
    chosen: dict[str, Any] = {"data": fields} if place == "form" else {"params": fields}
    response = await client.post("/submit", files={"image": PNG}, **chosen)
    spec = cluster.jobs[response.json()["job_id"]].spec

    assert spec.ttl_seconds_after_finished == stored
    assert spec.to_json().get("ttlSecondsAfterFinished") == stored
    assert spec.options is None


async def submit_for(client: httpx.AsyncClient, seconds: str, **kwargs: Any) -> httpx.Response:
    """Submit an image whose job is to be kept for some seconds."""
    fields = {"ttlSeconds": seconds}
    return await client.post("/submit", files={"image": PNG}, data=fields, **kwargs)


@pytest.mark.parametrize("value", ["59", "0", "-1", "1.5", "a day", str(MAXIMUM + 1), "9" * 30])
async def test_invalid_time_to_live_is_refused(
    client: httpx.AsyncClient, bucket: FakeBucket, value: str
) -> None:
    response = await submit_for(client, value)
    assert (response.status_code, response.json()["reason"]) == (422, "OptionsInvalid")
    assert "ttlSeconds: Input should be" in response.json()["detail"]
    assert not bucket.objects


async def test_repeated_submission_may_have_another_time_to_live(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    """The time to live is not part of the request's identity, and the first one stays."""
    key = {"Idempotency-Key": "order-17"}
    first = await submit_for(client, "60", headers=key)
    for seconds in ("", "61"):
        again = await submit_for(client, seconds, headers=key)
        assert (again.status_code, again.json()) == (202, first.json())

    (job,) = cluster.jobs.values()
    assert job.spec.ttl_seconds_after_finished == 60


CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def after(seconds: float) -> str:
    """Return the time that is `seconds` after the job's creation, as the API server writes it."""
    return f"{CREATED + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(
    ("phase", "completed", "ttl", "expires"),
    [
        ("queued", None, 60, None),
        ("processing", None, 60, None),
        ("done", None, 60, None),
        ("done", 10, 60, 70),
        ("failed", 10, 60, 70),
        ("done", 10, 0, 10),
        ("done", 10, None, 10 + 86_400),
        ("done", 10, 604_800, 10 + 604_800),
        # Workers write the completion time. No job ends before it was created.
        ("done", -5, 60, 60),
    ],
)
async def test_status_says_when_the_job_expires(
    client: httpx.AsyncClient,
    jobs: Jobs,
    phase: str,
    completed: int | None,
    ttl: int | None,
    expires: int | None,
) -> None:
    status = {"phase": phase, **({} if completed is None else {"completionTime": after(completed)})}
    spec = {"image": {"key": "k"}, **({} if ttl is None else {"ttlSecondsAfterFinished": ttl})}
    metadata = {"name": "j", "creationTimestamp": after(0)}
    jobs.cache.observe(
        WatchEvent("ADDED", [{"metadata": metadata, "spec": spec, "status": status}])
    )

    found = (await client.get("/status/j")).json()["expires_at"]
    assert found == (None if expires is None else after(expires))


async def test_completion_time_in_the_future_does_not_count(
    client: httpx.AsyncClient, jobs: Jobs
) -> None:
    body = {
        "metadata": {"name": "j", "creationTimestamp": after(0)},
        "spec": {"image": {"key": "k"}, "ttlSecondsAfterFinished": 10**15},
        "status": {"phase": "done", "completionTime": "9999-12-31T23:59:59Z"},
    }
    jobs.cache.observe(WatchEvent("ADDED", [body]))
    found = datetime.fromisoformat((await client.get("/status/j")).json()["expires_at"])
    assert found <= datetime.now(UTC) + timedelta(seconds=2**31)
