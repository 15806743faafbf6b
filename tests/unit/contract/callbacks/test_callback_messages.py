"""Messages say the same as the API, and depend only on what is archived."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from vision_node_api.routes.batch_responses import BatchResponse
from vision_node_api.routes.jobs import StatusResponse
from vision_node_contract.callbacks.messages import MAX_RESULT_BYTES, batch_message, job_message
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob

ENDED = datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC)
DAY = timedelta(days=1)
RESULT: dict[str, Any] = {
    "description": "Image Description: cat.",
    "alt": "cat",
    "caption": "A cat",
}
RESULT |= {"describer": "local", "seconds": 0.1}


def job(phase: str = "done", **status: Any) -> ImageJob:
    labels = {"team": "web", "vision-node.dev/owner": "ann", "vision-node.dev/reuse-key": "k"}
    return ImageJob.model_validate(
        {
            "metadata": {
                "name": "job-1",
                "uid": "0b0b0b0b-0000-4000-8000-000000000001",
                "creationTimestamp": "2026-01-01T12:00:00Z",
                "labels": labels,
            },
            "spec": {"image": {"key": "images/x"}, "describer": "local"},
            "status": {
                "phase": phase,
                "attempts": 1,
                "completionTime": "2026-01-01T12:00:01Z",
                "duration": "0.5s",
                **status,
            },
        }
    )


def sent(job: ImageJob, result: str | None, kept: timedelta | None = DAY) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(job_message(job, result, ENDED, kept).model_dump_json())
    return found


def test_message_about_a_job_that_is_done() -> None:
    message = sent(job(), json.dumps(RESULT))

    assert message["type"] == "imagejob.done"
    assert message["timestamp"] == "2026-01-01T12:00:01Z"
    data = message["data"]
    assert (data["job_id"], data["status"], data["labels"]) == ("job-1", "done", {"team": "web"})
    assert data["expires_at"] == "2026-01-02T12:00:01Z"
    assert data["duration_seconds"] == 0.5
    assert data["result"]["_generated_by"] == "vision-node-gpt"
    assert data["result"]["job_id"] == "job-1"
    assert data["result"]["caption"] == "A cat"
    assert not data["result_omitted"]


def test_message_has_the_fields_of_the_status() -> None:
    assert StatusResponse.model_fields.keys() - {"waiting"} <= sent(job(), None)["data"].keys()


def test_message_about_a_batch_has_fields_of_the_batch() -> None:
    batch = ImageBatch.model_validate(
        {
            "metadata": {"name": "b", "uid": "0b0b0b0b-0000-4000-8000-000000000002"},
            "spec": {"prefix": "inbox/x/"},
            "status": {
                "phase": "failed",
                "images": {"total": 3, "done": 1, "failed": 2},
                "conditions": [
                    {
                        "type": "Failed",
                        "status": "True",
                        "reason": "TooManyFailedImages",
                        "message": "2 images failed",
                        "lastTransitionTime": "2026-01-01T12:00:01Z",
                    }
                ],
            },
        }
    )
    message = json.loads(batch_message(batch, ENDED, None).model_dump_json())

    assert message["type"] == "imagebatch.failed"
    data = message["data"]
    assert data["images"] == {"total": 3, "done": 1, "failed": 2}
    assert data["error"] == {"reason": "TooManyFailedImages", "message": "2 images failed"}
    assert data["expires_at"] is None
    assert data.keys() - {"labels"} <= BatchResponse.model_fields.keys()


def test_message_about_a_failed_job_has_its_error() -> None:
    error = {"reason": "ImageUnreadable", "message": "damaged", "retryable": False}
    message = sent(job("failed", error=error), None)

    assert message["type"] == "imagejob.failed"
    assert message["data"]["error"]["reason"] == "ImageUnreadable"
    assert message["data"]["result"] is None
    assert not message["data"]["result_omitted"]


@pytest.mark.parametrize(
    "result",
    [
        None,
        json.dumps({**RESULT, "text": "x" * MAX_RESULT_BYTES}),
        '{"description": "\\ud800", "alt": "", "caption": "", "describer": "d", "seconds": 1}',
        '{"caption": 3}',
        "no JSON",
    ],
)
def test_result_that_can_not_be_sent_is_omitted(result: str | None) -> None:
    data = sent(job(), result)["data"]
    assert (data["result"], data["result_omitted"]) == (None, True)


def test_same_job_makes_the_same_bytes() -> None:
    first = job_message(job(), json.dumps(RESULT), ENDED, DAY).model_dump_json()
    assert first == job_message(job(), json.dumps(RESULT), ENDED, DAY).model_dump_json()


@pytest.mark.parametrize("duration", ["nan", "infs", "?"])
def test_odd_duration_is_valid_json(duration: str) -> None:
    assert sent(job(duration=duration), None)["data"]["duration_seconds"] is None
