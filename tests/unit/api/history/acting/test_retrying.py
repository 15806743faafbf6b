"""Tests of POST /jobs/{id}/retry: every phase at every place, changes, keys and lost images."""

import asyncio
from typing import Any

import httpx
import pytest
from acting_fixture import PICTURE, SHA256, Places, Replica
from api_fakes import picture
from fakes.job_api import JobApi
from fakes.s3 import RELEASE_ID, S3
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.names import REUSE_LABEL

PATH = "/jobs/job-1/retry"
OPTIONS = {"prompt": "cats?", "maxLength": 100, "text": True}
FOLDER = f"images/{RELEASE_ID}/"


def reason_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json().get("reason", "")


def created(response: httpx.Response, places: Places) -> ImageJob:
    """Return the job that a response has created."""
    assert response.status_code == 202, response.text
    job_id = response.json()["job_id"]
    assert response.headers["location"] == f"/status/{job_id}"
    return places.job(job_id)


@pytest.mark.parametrize(
    ("place", "phase", "expected"),
    [
        ("live", "queued", (409, "JobUnfinished")),
        ("live", "processing", (409, "JobUnfinished")),
        *(
            (place, phase, (202, ""))
            for place in ("live", "archived", "evicted")
            for phase in ("done", "failed", "cancelled")
        ),
    ],
)
async def test_every_phase_at_every_place(
    one: Replica, places: Places, place: str, phase: str, expected: tuple[int, str]
) -> None:
    body = await places.put(place, phase, spec={"options": OPTIONS, "priority": 3})
    response = await one.client.post(PATH)
    assert reason_of(response) == expected
    if response.status_code != 202:
        assert response.json()["job_status"] == phase
        return

    job = created(response, places)
    assert (job.spec.retry_of, job.spec.priority, job.spec.cancel) == ("job-1", 3, False)
    assert job.spec.options
    assert job.spec.options.model_dump(exclude_none=True, by_alias=True) == OPTIONS
    # The new job has an image of its own, and the old one keeps its image.
    assert (job.spec.image.sha256, job.spec.image.media_type) == (SHA256, "image/png")
    assert places.images == {body["spec"]["image"]["key"], job.spec.image.key}
    assert places.s3.objects[job.spec.image.key].data == PICTURE


CHANGES: dict[str, dict[str, Any]] = {
    "JSON": {"json": {"describer": "openai", "prompt": "dogs?", "maxLength": None}},
    "form": {"data": {"describer": "openai", "prompt": "dogs?", "language": " "}},
    "multipart": {"files": {"describer": (None, "openai"), "prompt": (None, "dogs?")}},
    "query": {"params": {"describer": "openai", "prompt": "dogs?"}},
}


@pytest.mark.parametrize("how", CHANGES)
async def test_changes_are_applied_and_the_rest_stays(
    one: Replica, places: Places, how: str
) -> None:
    await places.put("live", "failed", spec={"options": OPTIONS})
    job = created(await one.client.post(PATH, **CHANGES[how]), places)
    assert job.spec.describer == "openai"
    kept = {} if how == "JSON" else {"maxLength": 100}
    assert job.spec.options
    assert job.spec.options.model_dump(exclude_none=True, by_alias=True) == {
        "prompt": "dogs?",
        "text": True,
        **kept,
    }


async def test_null_is_the_default(one: Replica, places: Places) -> None:
    spec = {"describer": "openai", "ttlSecondsAfterFinished": 600, "options": {"prompt": "x"}}
    await places.put("live", "failed", spec=spec)
    kept = created(await one.client.post(PATH), places).spec
    assert (kept.describer, kept.ttl_seconds_after_finished) == ("openai", 600)

    body = {"describer": None, "ttlSeconds": None, "prompt": None}
    job = created(await one.client.post(PATH, json=body), places)
    assert job.spec.describer == one.jobs.settings.default_describer
    assert (job.spec.ttl_seconds_after_finished, job.spec.options) == (None, None)


REFUSALS: dict[str, tuple[dict[str, Any], int, str]] = {
    "unknown field": ({"json": {"promt": "x"}}, 422, "OptionsInvalid"),
    "unknown form field": ({"data": {"promt": "x"}}, 422, "OptionsInvalid"),
    "unknown parameter": ({"params": {"promt": "x"}}, 422, "OptionsInvalid"),
    "invalid value": ({"json": {"detail": "huge"}}, 422, "OptionsInvalid"),
    "no object": ({"json": ["prompt"]}, 422, "OptionsInvalid"),
    "deep JSON": (
        {"content": b"[" * 60_000, "headers": {"Content-Type": "application/json"}},
        422,
        "OptionsInvalid",
    ),
    "no JSON": (
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        422,
        "OptionsInvalid",
    ),
    "other type": ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "NotAForm"),
    "too large": (
        {"content": b" " * 70_000, "headers": {"Content-Type": "application/json"}},
        413,
        "DocumentTooLarge",
    ),
    "unknown describer": ({"json": {"describer": "nobody"}}, 422, "DescriberNotFound"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_refusals_create_nothing(one: Replica, places: Places, case: str) -> None:
    request, status, reason = REFUSALS[case]
    await places.put("live", "failed")
    assert reason_of(await one.client.post(PATH, **request)) == (status, reason)
    assert places.api.bodies.keys() == {"job-1"}
    assert len(places.images) == 1


async def test_same_key_creates_one_job_at_all_replicas(
    one: Replica, other: Replica, places: Places, s3: S3
) -> None:
    await places.put("live", "failed")
    await places.put("live", "failed", 2)
    headers = {"Idempotency-Key": "k"}
    first = created(await one.client.post(PATH, headers=headers), places)
    # The old image may be gone by the time of the repetition.
    del s3.objects[f"{FOLDER}1"]
    again = created(await other.client.post(PATH, headers=headers), places)
    assert again.metadata.uid == first.metadata.uid

    different = await one.client.post(PATH, headers=headers, json={"prompt": "else"})
    assert reason_of(different) == (422, "IdempotencyKeyReused")
    of_another = created(await one.client.post("/jobs/job-2/retry", headers=headers), places)
    assert of_another.metadata.uid != first.metadata.uid
    assert len(places.api.bodies) == 4


async def test_answer_says_nothing_about_reuse(one: Replica, places: Places) -> None:
    await places.put("live", "failed")
    answer = await one.client.post(PATH)
    assert answer.json().keys() == {"job_id", "status"}


async def test_labels_of_the_user_are_kept(one: Replica, places: Places) -> None:
    body = places.body("failed", owner="ann")
    own = {"team": "web", "example.com/tier": "gold"}
    tools = {"app.kubernetes.io/instance": "argo", "vision-node.dev/request": "r"}
    body["metadata"]["labels"] |= own | tools
    places.store_image(body)
    places.api.put(body)
    job = created(await one.client.post(PATH), places)
    labels = {name: it for name, it in job.metadata.labels.items() if name != REUSE_LABEL}
    assert labels == {"vision-node.dev/owner": "ann", **own}


GONE: dict[str, bytes | None] = {
    "deleted": None,
    "replaced by one of the same size": PICTURE[:-1] + b"x",
    "replaced by a larger one": picture(noise=10),
    "replaced by one above the limit": bytes(60_000),
}


@pytest.mark.parametrize("case", GONE)
@pytest.mark.parametrize("place", ["live", "evicted"])
async def test_image_that_is_gone(
    one: Replica, places: Places, s3: S3, place: str, case: str
) -> None:
    await places.put(place, "failed")
    del s3.objects[f"{FOLDER}1"]
    if data := GONE[case]:
        s3.put(f"{FOLDER}1", data)
    assert reason_of(await one.client.post(PATH)) == (410, "ImageGone")
    assert len(places.api.bodies) == (place == "live")


@pytest.mark.parametrize(
    ("named", "stored", "status"),
    [
        (f"inbox/{RELEASE_ID}/cat.png", f"inbox/{RELEASE_ID}/cat.png", 202),
        ("inbox/cat.png", f"inbox/{RELEASE_ID}/cat.png", 202),
        ("inbox/cat.png", "inbox/cat.png", 202),
        ("images/cat", "images/cat", 202),
        ("inbox/otherotherot/cat.png", "inbox/otherotherot/cat.png", 410),
        ("images/otherotherot/cat", "images/otherotherot/cat", 410),
        ("results/x", "results/x", 410),
    ],
)
async def test_only_images_of_the_release_are_read(
    one: Replica, places: Places, s3: S3, named: str, stored: str, status: int
) -> None:
    """Whoever may create ImageJobs can name any key."""
    body = places.body("failed")
    body["spec"]["image"] = {"key": named}
    s3.put(stored, PICTURE)
    places.api.put(body)
    response = await one.client.post(PATH)
    assert response.status_code == status, response.text
    if status == 202:
        assert created(response, places).spec.image.sha256 == SHA256


async def test_file_that_is_no_image_is_refused(one: Replica, places: Places, s3: S3) -> None:
    body = places.body("failed")
    body["spec"]["image"] = {"key": f"inbox/{RELEASE_ID}/notes.txt"}
    s3.put(f"inbox/{RELEASE_ID}/notes.txt", b"text")
    places.api.put(body)
    assert reason_of(await one.client.post(PATH)) == (415, "UnsupportedFormat")


async def test_original_that_is_deleted_meanwhile_does_not_take_the_image_along(
    one: Replica, places: Places, api: JobApi, s3: S3
) -> None:
    """The archiver deletes the old image between our read and our create."""
    await places.put("live", "failed")

    async def delete(_: str) -> None:
        api.delete("job-1")
        del s3.objects[f"{FOLDER}1"]

    api.before_create = delete
    job = created(await one.client.post(PATH), places)
    assert places.images == {job.spec.image.key}


async def test_image_of_a_job_that_kubernetes_refuses_is_deleted(
    one: Replica, places: Places, api: JobApi
) -> None:
    await places.put("live", "failed")
    api.refuses_new = (403, 'imagejobs "x" is forbidden: exceeded quota: few')
    assert reason_of(await one.client.post(PATH)) == (429, "QuotaExceeded")
    assert places.images == {f"{FOLDER}1"}


async def test_lost_answer_returns_the_job(one: Replica, places: Places, api: JobApi) -> None:
    await places.put("live", "failed")
    api.loses_answers = 1
    created(await one.client.post(PATH), places)
    assert len(api.bodies) == 2


async def test_memory_is_that_of_uploads(one: Replica, places: Places) -> None:
    await places.put("live", "failed")
    created(await one.client.post(PATH), places)
    assert (one.jobs.uploads.uploads, one.jobs.uploads.held_bytes) == (0, 0)


@pytest.mark.parametrize("job", ["unknown", "No..thing", "holiday.1"])
async def test_unknown_job_is_not_found(one: Replica, job: str) -> None:
    assert reason_of(await one.client.post(f"/jobs/{job}/retry")) == (404, "JobNotFound")


ENDED: dict[str, dict[str, Any]] = {
    "done": {},
    "failed": {"error": {"reason": "Cancelled", "message": "m", "retryable": False}},
}


@pytest.mark.parametrize("phase", ENDED)
async def test_client_may_wait_for_the_new_job(one: Replica, places: Places, phase: str) -> None:
    await places.put("live", "failed")
    headers = {"Idempotency-Key": "k"}
    name = created(await one.client.post(PATH, headers=headers), places).metadata.name
    waiting = asyncio.create_task(
        one.client.post(PATH, headers={**headers, "Prefer": "wait=30"}, timeout=40)
    )
    places.api.finish(name)
    if ENDED[phase]:
        places.api.change(name, status={"phase": phase, "result": None, **ENDED[phase]})
    one.report(places.api.bodies[name], "MODIFIED")

    response = await waiting
    answer = response.json()
    assert (response.status_code, answer["job_id"], answer["status"]) == (200, name, phase)
    assert response.headers["preference-applied"] == "wait=30"
    assert response.headers["location"] == f"/status/{name}"
    assert ("caption" in answer, "error" in answer) == (phase == "done", phase == "failed")
    assert "reused" not in answer


async def test_wait_for_a_new_job_ends(one: Replica, places: Places) -> None:
    await places.put("live", "failed")
    response = await one.client.post(PATH, headers={"Prefer": "wait=0"})
    created(response, places)
    assert response.headers["preference-applied"] == "wait=0"
    assert response.json()["status"] == "queued"


async def test_query_is_documented(one: Replica) -> None:
    document: dict[str, Any] = (await one.client.get("/openapi.json")).json()
    retry = document["paths"]["/jobs/{job_id}/retry"]["post"]
    query = {it["name"]: it for it in retry["parameters"] if it["in"] == "query"}
    schema = retry["requestBody"]["content"]["application/json"]["schema"]
    assert query.keys() == schema["properties"].keys()
    assert all(it["description"] for it in (*query.values(), *schema["properties"].values()))
    example = retry["responses"]["415"]["content"]["application/problem+json"]["example"]
    assert example["reason"] == "NotAForm"
    assert "JSON" in example["detail"]


async def test_actions_are_documented(one: Replica) -> None:
    paths: dict[str, Any] = (await one.client.get("/openapi.json")).json()["paths"]
    assert {"200", "404", "409"} <= paths["/jobs/{job_id}/cancel"]["post"]["responses"].keys()
    retry = paths["/jobs/{job_id}/retry"]["post"]
    assert {"202", "409", "410"} <= retry["responses"].keys()
    schema = retry["requestBody"]["content"]["application/json"]["schema"]
    assert "ttlSeconds" in schema["properties"]
    selection = paths["/jobs/retry"]["post"]["requestBody"]["content"]["application/json"]
    assert selection["schema"]["properties"]["changes"] == schema
    assert {"204", "404"} <= paths["/jobs/{job_id}"]["delete"]["responses"].keys()
