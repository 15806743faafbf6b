"""Tests of reuse=true: which jobs in Kubernetes a submission gets in place of a new one."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_fakes import SETTINGS, Cluster, FakeBucket, picture
from fastapi import FastAPI
from reuse_requests import DONE, FAILED, LARGE, again, change, first_job, stored_result, submitted
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import UnavailableError, WatchEvent
from vision_node_contract.names import REUSE_LABEL


@pytest.fixture(autouse=True)
def kept_forever(jobs: Jobs) -> None:
    object.__setattr__(jobs, "settings", replace(SETTINGS, job_kept=None))


async def test_result_of_the_same_image_is_reused(
    client: httpx.AsyncClient, app: FastAPI, cluster: Cluster, jobs: Jobs, bucket: FakeBucket
) -> None:
    name = await first_job(client)
    change(cluster, jobs, name, status=DONE)
    stored = len(bucket.objects)
    response = await again(client)

    assert response.status_code == 200
    assert response.json() == {"job_id": name, "status": "done", "reused": True}
    assert response.headers["Location"] == f"/status/{name}"
    assert (len(cluster.jobs), len(bucket.objects)) == (1, stored)
    assert (await client.get(f"/result/{name}")).json()["caption"] == "A cat on a sofa"

    registry = app.state.metrics.registry
    assert registry.get_sample_value("vision_node_submits_total", {"outcome": "Accepted"}) == 2


@pytest.mark.parametrize("is_reported", [True, False])
async def test_unfinished_job_of_the_same_image_is_returned(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, *, is_reported: bool
) -> None:
    name = await first_job(client)
    if is_reported:
        change(cluster, jobs, name, status={"phase": "processing"})

    response = await again(client)
    phase = "processing" if is_reported else "queued"
    assert response.status_code == 202
    assert response.json() == {"job_id": name, "status": phase, "reused": True}


async def test_answer_without_reuse_is_as_before(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs
) -> None:
    change(cluster, jobs, await first_job(client), status=DONE)
    for fields in ({}, {"reuse": "false"}):
        response = await submitted(client, fields)
        assert response.status_code == 202
        assert response.json().keys() == {"job_id", "status"}
    assert len(cluster.jobs) == 3


async def test_first_submission_creates_a_job(client: httpx.AsyncClient, cluster: Cluster) -> None:
    response = await again(client)
    (name,) = cluster.jobs
    assert response.status_code == 202
    assert response.json() == {"job_id": name, "status": "queued", "reused": False}


async def test_options_that_do_not_change_the_result_are_not_compared(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs
) -> None:
    name = await first_job(client, describer="metadata", prompt="Which breed?", ttlSeconds="600")
    change(cluster, jobs, name, status={**DONE, "completionTime": f"{datetime.now(UTC):%FT%TZ}"})
    response = await again(client, prompt="Which breed?", labels="team=web", priority="5")
    assert response.json() == {"job_id": name, "status": "done", "reused": True}
    assert set(cluster.jobs[name].metadata.labels) == {REUSE_LABEL}


OTHERS: dict[str, dict[str, Any]] = {
    "it has failed": {"status": FAILED},
    "it is being cancelled": {"spec": {"cancel": True}, "status": {"phase": "processing"}},
    "it is being deleted": {
        "metadata": {"deletionTimestamp": "2026-01-01T00:00:03Z"},
        "status": DONE,
    },
    "it has expired": {"spec": {"ttlSecondsAfterFinished": 60}, "status": DONE},
    "a fallback has described it": {
        "status": {
            **DONE,
            "result": {
                **DONE["result"],
                "fallback": {"from": "metadata", "reason": "ProviderUnavailable"},
            },
        }
    },
    "its label was copied from another image": {
        "spec": {"image": {"key": "images/aaaabbbbcccc/1", "sha256": "0" * 64}},
        "status": DONE,
    },
    "its label was copied from other options": {
        "spec": {"options": {"prompt": "Which breed?"}},
        "status": DONE,
    },
    "its label was copied from another describer": {
        "spec": {"describer": "local"},
        "status": DONE,
    },
}


@pytest.mark.parametrize("case", OTHERS)
async def test_job_is_not_reused_because(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, case: str
) -> None:
    name = await first_job(client)
    change(cluster, jobs, name, **OTHERS[case])
    response = await again(client)
    assert response.status_code == 202
    assert response.json()["reused"] is False
    assert response.json()["job_id"] != name


@pytest.mark.parametrize(
    "labels", [{"vision-node.dev/owner": "ann"}, {REUSE_LABEL: "0" * 32}, None]
)
async def test_job_with_other_labels_is_not_reused(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, labels: dict[str, str] | None
) -> None:
    name = await first_job(client)
    before = cluster.jobs[name].metadata.labels
    changed = {} if labels is None else {**before, **labels}
    change(cluster, jobs, name, metadata={"labels": changed}, status=DONE)
    assert (await again(client)).json()["reused"] is False


async def test_image_in_the_inbox_is_not_reused(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs
) -> None:
    """It may have been replaced after its SHA-256 was written into the ImageJob."""
    name = await first_job(client)
    image = {**cluster.jobs[name].spec.image.to_json(), "key": "inbox/aaaabbbbcccc/cat.png"}
    change(cluster, jobs, name, spec={"image": image}, status=DONE)
    assert (await again(client)).json()["reused"] is False


@pytest.mark.parametrize(
    "fields", [{"prompt": "Which breed?"}, {"text": "false"}, {"describer": "newest"}]
)
async def test_submission_with_other_options_creates_a_job(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, fields: dict[str, str]
) -> None:
    change(cluster, jobs, await first_job(client), status=DONE)
    assert (await again(client, **fields)).json()["reused"] is False


async def test_other_image_creates_a_job(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs
) -> None:
    change(cluster, jobs, await first_job(client), status=DONE)
    response = await submitted(client, {"reuse": "true"}, picture(size=(9, 9)))
    assert response.json()["reused"] is False


@pytest.mark.parametrize(
    ("spec", "is_reused"),
    [
        ({"model": "gpt-5"}, False),
        ({"provider": "local"}, False),
        ({"options": {"threshold": 0.5}}, False),
        ({"image": "example.com/worker:2"}, False),
        ({"command": ["python"]}, False),
        ({"env": [{"name": "A", "value": "1"}]}, False),
        ({"envFrom": [{"secretRef": {"name": "keys"}}]}, False),
        ({"sidecar": {"image": "example.com/model:2"}}, False),
        ({"provider": "metadata"}, True),
        ({"maxWorkers": 7, "timeoutSeconds": 5, "maxAttempts": 1, "fallback": "local"}, True),
    ],
)
async def test_result_is_reused_only_while_the_describer_is_in_the_same_state(
    client: httpx.AsyncClient,
    cluster: Cluster,
    jobs: Jobs,
    *,
    spec: dict[str, Any],
    is_reused: bool,
) -> None:
    change(cluster, jobs, await first_job(client), status=DONE)
    describer = {"metadata": {"name": "metadata"}, "spec": spec}
    jobs.describers.observe(WatchEvent("MODIFIED", [describer]))
    assert (await again(client)).json()["reused"] is is_reused

    jobs.describers.observe(WatchEvent("MODIFIED", [{"metadata": {"name": "metadata"}}]))
    assert (await again(client)).json()["reused"] is True


async def test_result_is_not_reused_after_a_change_to_all_workers(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs
) -> None:
    change(cluster, jobs, await first_job(client), status=DONE)
    object.__setattr__(jobs, "settings", replace(jobs.settings, workers_revision="2"))
    assert (await again(client)).json()["reused"] is False


@pytest.mark.parametrize("kept", [timedelta(hours=1), None])
async def test_expired_result_is_not_reused(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, kept: timedelta | None
) -> None:
    object.__setattr__(jobs, "settings", replace(SETTINGS, job_kept=kept))
    change(cluster, jobs, await first_job(client), status=DONE)
    assert (await again(client)).json()["reused"] is (kept is None)


async def test_deleted_job_is_not_reused_even_if_the_watch_lags(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs
) -> None:
    name = await first_job(client)
    change(cluster, jobs, name, status=DONE)
    del cluster.jobs[name]
    assert (await again(client)).json()["reused"] is False


@pytest.mark.parametrize(
    ("data", "is_reused"), [(LARGE, True), (None, False), (LARGE + b" ", False)]
)
async def test_large_result_is_reused_if_it_is_still_in_the_bucket(
    client: httpx.AsyncClient,
    cluster: Cluster,
    jobs: Jobs,
    bucket: FakeBucket,
    *,
    data: bytes | None,
    is_reused: bool,
) -> None:
    name = await first_job(client)
    change(cluster, jobs, name, status=stored_result(name))
    if data is not None:
        bucket.objects[f"results/aaaabbbbcccc/{name}/1"] = data
    assert (await again(client)).json()["reused"] is is_reused


async def test_result_comes_before_an_unfinished_job(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs
) -> None:
    done = await first_job(client)
    unfinished = await first_job(client)
    change(cluster, jobs, done, status=DONE)
    change(cluster, jobs, unfinished, status={"phase": "processing"})
    assert (await again(client)).json()["job_id"] == done


async def test_submission_goes_on_while_the_search_fails(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs
) -> None:
    change(cluster, jobs, await first_job(client), status=DONE)
    cluster.get_fails = UnavailableError(0, "NoAnswer", "no answer")
    response = await again(client)
    assert (response.status_code, response.json()["reused"]) == (202, False)


async def test_submission_goes_on_if_the_search_takes_too_long(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(cluster, jobs, await first_job(client), status=DONE)

    async def never(name: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(cluster, "get", never)
    monkeypatch.setattr("vision_node_api.services.reusable_jobs.REUSE_SECONDS", 0.01)
    response = await again(client)
    assert (response.status_code, response.json()["reused"]) == (202, False)


async def test_idempotency_key_comes_before_reuse(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs
) -> None:
    """A client that repeats a request must get the same job, even if another one is reusable."""
    key = {"Idempotency-Key": "order-17"}
    fields = {"reuse": "true"}
    first = (await submitted(client, fields, **key)).json()["job_id"]
    change(cluster, jobs, await first_job(client), status=DONE)

    repeated = await submitted(client, fields, **key)
    assert repeated.json() == {"job_id": first, "status": "queued", "reused": False}


async def test_reuse_needs_no_room_for_a_new_job(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs
) -> None:
    name = await first_job(client)
    change(cluster, jobs, name, status=DONE)
    object.__setattr__(jobs, "settings", replace(jobs.settings, max_imagejobs=1))
    assert (await submitted(client, {})).status_code == 429
    assert (await again(client)).json()["job_id"] == name
