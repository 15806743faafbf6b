import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from vision_node_contract.batch_objects import LineError, ResultLine
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.history.records import ImageRow, JobRow, first_sentence
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ENDED = datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC)
UID = "7c1f7a52-0f7c-4a5b-9a3e-000000000001"
FOLDERS = BucketFolders("abcdefghijkl")
RESULT = {
    "description": "Image Description: A cat sleeps. It is 640 × 480 pixels.",
    "caption": "cat",
    "alt": "Sleeping tabby",
    "tags": ["pet", 3],
    "text": "NO ENTRY\x00",
}


def body(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "vision-node.dev/v1alpha1",
        "metadata": {
            "name": "job-1",
            "uid": UID,
            "creationTimestamp": "2026-01-01T12:00:00Z",
            "labels": {"vision-node.dev/owner": "ann"},
            "annotations": {"note": "private"},
        },
        "spec": {"image": {"key": "images/abcdefghijkl/1", "fileName": "Tabby_1.JPG"}},
        "status": {
            "phase": "done",
            "attempts": 1,
            "completionTime": "2026-01-01T12:00:05Z",
            "result": {"describer": "local", "summary": "a cat", "inline": {"caption": "cat"}},
            **status,
        },
    }


def image_row(found: dict[str, Any], result: dict[str, Any] | None) -> ImageRow:
    job = ImageJob.model_validate({**found, "status": {**found["status"], "result": None}})
    return ImageRow.of_job(job, found, result, NOW)


def test_row_of_a_job_has_its_words_but_not_those_of_its_metadata() -> None:
    row = image_row(body(), RESULT)

    assert row.words == (
        *("cat", "sleeping", "tabby", "no", "entry", "pet", "a", "sleeps"),
        *("job", "1", "jpg"),
    )
    assert (row.owner, row.phase, row.reason, row.at) == (
        "ann",
        "done",
        None,
        datetime(2026, 1, 1, 12, tzinfo=UTC),
    )


def test_row_of_a_job_is_what_the_api_reads_without_the_inline_result() -> None:
    found = json.loads(image_row(body(), RESULT).body)

    assert found["status"]["result"] == {"describer": "local", "summary": "a cat"}
    assert "annotations" not in found["metadata"]
    assert ImageJob.model_validate(found).metadata.labels == {"vision-node.dev/owner": "ann"}


def test_row_has_no_character_that_postgresql_refuses() -> None:
    row = image_row(body(), RESULT | {"caption": "\ud800 🐈"})

    assert row.result is not None
    assert row.result.isascii()
    assert json.loads(row.result)["text"] == "NO ENTRY\x00"


KEY = {"vision-node.dev/reuse-key": "0123"}
FALLBACK = {"describer": "local", "summary": "a", "fallback": {"from": "x", "reason": "Y"}}
ERROR = {"reason": "ContentRefused", "message": "refused", "retryable": False}


@pytest.mark.parametrize(
    ("labels", "status", "result", "expected"),
    [
        (KEY, {}, RESULT, "0123"),
        ({}, {}, RESULT, ""),
        (KEY, {}, None, ""),
        (KEY, {"result": FALLBACK}, RESULT, ""),
        (KEY, {"phase": "failed", "result": None, "error": ERROR}, None, ""),
    ],
)
def test_only_a_result_in_the_row_can_be_reused(
    labels: dict[str, str], status: dict[str, Any], result: dict[str, Any] | None, expected: str
) -> None:
    found = body(**{"result": {"describer": "local", "summary": "a cat"}} | status)
    found["metadata"]["labels"] = labels
    row = ImageRow.of_job(ImageJob.model_validate(found), found, result, NOW)
    assert row.reuse_key == expected
    assert row.refused("bad").reuse_key == ""


def test_refused_row_lacks_result_and_words() -> None:
    row = image_row(body(), RESULT).refused('bad "\x00" byte')

    assert (row.result, row.words, row.name) == (None, (), "job-1")
    assert row.archive_error is not None
    assert "\x00" not in row.archive_error


@pytest.mark.parametrize(
    ("spec", "status", "in_row", "expected"),
    [
        ({}, {}, True, (None, "images/abcdefghijkl/1", None)),
        ({"ttlSecondsAfterFinished": 60}, {}, True, (60, "images/abcdefghijkl/1", None)),
        ({"image": {"key": "inbox/abcdefghijkl/x"}}, {}, True, (None, None, None)),
        (
            {},
            {"result": {"describer": "d", "summary": "s", "key": f"results/abcdefghijkl/{UID}/1"}},
            False,
            (None, "images/abcdefghijkl/1", f"results/abcdefghijkl/{UID}/1"),
        ),
        (
            {},
            {"result": {"describer": "d", "summary": "s", "key": "results/abcdefghijkl/other/1"}},
            False,
            (None, "images/abcdefghijkl/1", None),
        ),
    ],
)
def test_lifecycle_of_a_job(
    spec: dict[str, Any],
    status: dict[str, Any],
    in_row: bool,  # noqa: FBT001 (a column of the table)
    expected: tuple[int | None, str | None, str | None],
) -> None:
    found = body(**{"result": None} | status)
    found["spec"] |= spec
    row = JobRow.of(ImageJob.model_validate(found), FOLDERS, NOW, in_row=in_row)

    seconds, image, result = expected
    ends = None if seconds is None else ENDED + timedelta(seconds=seconds)
    assert (row.finished_at, row.expires_at, row.image_key, row.result_key) == (
        ENDED,
        ends,
        image,
        result,
    )


def test_row_of_a_batchs_image() -> None:
    batch = ImageBatch.model_validate({"metadata": {"name": "b", "uid": UID}, "spec": {}})
    done = ResultLine(index=3, custom_id="cats/1.jpg", key="k", result=RESULT)
    failed = ResultLine(index=4, custom_id="x", error=LineError(reason="R", message="m"))

    rows = [ImageRow.of_line(batch, line, NOW) for line in (done, failed)]

    assert [(it.image_index, it.phase, it.reason) for it in rows] == [
        (3, "done", None),
        (4, "failed", "R"),
    ]
    assert {"cat", "cats", "jpg", "b"} <= set(rows[0].words)
    assert json.loads(rows[1].body)["error"] == {"reason": "R", "message": "m"}
    assert "result" not in json.loads(rows[0].body)


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ("Image Description: A cat. A dog.", "A cat."),
        ("A cat", "A cat"),
        ("Photo:\na cat", "Photo:\n"),
        ("3.5 cats. More", "3.5 cats."),
        ("", ""),
    ],
)
def test_first_sentence(description: str, sentence: str) -> None:
    assert first_sentence(description) == sentence
