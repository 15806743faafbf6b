"""Tests of a user who cancels, retries and deletes jobs over HTTP."""

import random
from collections.abc import Callable

import httpx
from conftest import FAST_DESCRIBER, wait_for
from faults.load import draw
from history.release_history import EARLY, ReleaseHistory, image_with, new_word
from vision_node_contract.json_types import Json

from acting.fickle import REFUSED, SLOW, SLOW_SECONDS

Submit = Callable[..., str]
Ended = Callable[[str], Json]
Imagejob = Callable[[str], Json]


def picture(comment: bytes) -> bytes:
    """Return an image with a comment, which differs from all others."""
    return draw((40, 30), random.Random(new_word()), comment)  # noqa: S311 (no secret)


def until_processing(api: httpx.Client, job: str) -> None:
    """Wait until a worker describes the image of a job."""
    wait_for(lambda: api.get(f"/status/{job}").json()["status"], lambda it: it == "processing")


def test_job_that_a_worker_describes_is_cancelled_and_retried(
    api: httpx.Client, fickle: str, submit: Submit, ended: Ended
) -> None:
    job = submit(picture(SLOW), describer=fickle)
    until_processing(api, job)
    for _ in range(2):
        answer = api.post(f"/jobs/{job}/cancel")
        assert (answer.status_code, answer.json()["job_id"]) == (200, job), answer.text

    status = ended(job)
    assert (status["status"], status["error"]["reason"]) == ("failed", "Cancelled")
    assert (status["duration_seconds"] or 0) < SLOW_SECONDS
    assert api.post(f"/jobs/{job}/cancel").status_code == 200

    retried = api.post(f"/jobs/{job}/retry", json={"describer": FAST_DESCRIBER})
    assert retried.status_code == 202, retried.text
    assert ended(retried.json()["job_id"])["status"] == "done"


def test_failed_job_is_retried_and_outlives_it(
    api: httpx.Client, fickle: str, submit: Submit, ended: Ended, imagejob: Imagejob
) -> None:
    job = submit(picture(REFUSED), describer=fickle)
    assert ended(job)["error"]["reason"] == "ContentRefused"

    answer = api.post(f"/jobs/{job}/retry", data={"prompt": "please"})
    assert answer.status_code == 202, answer.text
    new = answer.json()["job_id"]
    assert api.get(answer.headers["location"]).json()["job_id"] == new
    before, after = imagejob(job)["spec"], imagejob(new)["spec"]
    assert (after["retryOf"], after["describer"]) == (job, fickle)
    assert after["image"]["key"] != before["image"]["key"]
    assert after["image"]["sha256"] == before["image"]["sha256"]

    assert api.delete(f"/jobs/{job}").status_code == 204
    assert api.get(f"/status/{job}").status_code == 404
    assert ended(new)["status"] == "done"
    assert api.post(f"/jobs/{new}/cancel").json()["reason"] == "JobFinished"


def test_all_that_failed_for_a_reason_are_retried_once(
    api: httpx.Client, fickle: str, submit: Submit, ended: Ended
) -> None:
    jobs = [submit(picture(REFUSED), describer=fickle) for _ in range(3)]
    created = [ended(job)["created_at"] for job in jobs]
    wanted = {
        "reason": "ContentRefused",
        "describer": fickle,
        "after": min(created),
        "changes": {"prompt": "please"},
    }

    first = api.post("/jobs/retry", json=wanted)
    assert first.status_code == 200, first.text
    retried = {it["retry_of"]: it["job_id"] for it in first.json()["retried"]}
    assert set(jobs) <= retried.keys()
    assert {ended(retried[job])["status"] for job in jobs} == {"done"}
    again = api.post("/jobs/retry", json=wanted).json()
    assert not {it["retry_of"] for it in again["retried"]} & set(jobs)


def test_evicted_job_is_retried_and_deleted(history: ReleaseHistory, ended: Ended) -> None:
    api = history.api
    with history.archiver_with(EARLY):
        job = history.describe(image_with(new_word()))
        image = history.until_evicted(job)["image_key"]

    retried = api.post(f"/jobs/{job}/retry")
    assert retried.status_code == 202, retried.text
    assert api.delete(f"/jobs/{job}").status_code == 204
    assert api.get(f"/status/{job}").status_code == 404
    assert api.delete(f"/jobs/{job}").status_code == 404

    wait_for(lambda: history.rows(job), lambda rows: not rows)
    wait_for(history.objects, lambda keys: image not in keys)
    assert ended(retried.json()["job_id"])["status"] == "done"


def test_unfinished_job_is_deleted_with_its_image(
    history: ReleaseHistory, fickle: str, submit: Submit, imagejob: Imagejob
) -> None:
    job = submit(picture(SLOW), describer=fickle)
    until_processing(history.api, job)
    image = imagejob(job)["spec"]["image"]["key"]
    assert history.api.delete(f"/jobs/{job}").status_code == 204
    assert history.live_uid(job) is None
    wait_for(history.objects, lambda keys: image not in keys)


def test_actions_at_one_replica_are_seen_at_the_other(
    replicas: list[httpx.Client], fickle: str
) -> None:
    one, other = replicas
    form = {"files": {"file": ("slow.jpg", picture(SLOW))}, "data": {"describer": fickle}}
    job = one.post("/submit", **form).json()["job_id"]  # type: ignore[arg-type]

    assert other.post(f"/jobs/{job}/cancel").status_code == 200
    for api in replicas:
        status = wait_for(
            lambda api=api: api.get(f"/status/{job}").json(),  # type: ignore[misc]
            lambda it: it["status"] == "failed",
        )
        assert status["error"]["reason"] == "Cancelled"

    headers, changes = {"Idempotency-Key": new_word()}, {"describer": FAST_DESCRIBER}
    answers = [api.post(f"/jobs/{job}/retry", headers=headers, json=changes) for api in replicas]
    assert len({it.json()["job_id"] for it in answers}) == 1, answers

    assert one.delete(f"/jobs/{job}").status_code == 204
    assert one.get(f"/status/{job}").status_code == 404
    wait_for(lambda: other.get(f"/status/{job}").status_code, lambda it: it == 404)
    assert other.delete(f"/jobs/{job}").status_code == 404
