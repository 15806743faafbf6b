"""Tests that answers and examples have exactly the fields of their schemas."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from api_fakes import Cluster, picture
from conformance.conftest import BATCHES, PHOTO
from conformance.strict_answers import Answers
from conformance.test_openapi_conformance import STREAMS
from conformance.test_openapi_document import DOCUMENT, OPERATIONS
from history.api_archive import job_body, result_body
from vision_node_api.routes.openapi.response_headers import HEADERS
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.imagejob import ImageJob

PNG = picture()
ANSWERS = Answers(DOCUMENT)
THROTTLED = {
    "reason": "RateLimited",
    "message": "slow down",
    "retryable": True,
    "retryAfterSeconds": 12.5,
}
RESULT = {
    **result_body("A cat"),
    "tags": ["cat"],
    "facts": {"width": 640, "scene": {"maxLength": 1}},
    "model": "m",
    "fallback": {"from": "openai", "reason": "QuotaExhausted"},
    "usage": {"inputTokens": 3, "outputTokens": 4},
    "warnings": ["The file is cut off."],
}
STORED = {
    "describer": "local",
    "summary": "A cat",
    "inline": RESULT,
    "usage": RESULT["usage"],
    "fallback": RESULT["fallback"],
}
OPTIONS = {
    "prompt": "what?",
    "language": "de",
    "detail": "low",
    "maxLength": 100,
    "fallback": "never",
    "text": True,
}
SPEC = {
    "priority": 3,
    "retryOf": "job-0",
    "options": OPTIONS,
    "image": {
        "key": "images/aaaabbbbcccc/1",
        "fileName": "cat.png",
        "mediaType": "image/png",
        "width": 40,
        "height": 30,
        "sizeBytes": 1234,
        "sha256": "ab" * 32,
    },
}

PATHS = {
    "/status/throttled": "/status/{job_id}",
    "/status/full": "/status/{job_id}",
    "/jobs/throttled": "/jobs/{job_id}",
    "/jobs/full": "/jobs/{job_id}",
    f"/jobs/{BATCHES[0]}.1": "/jobs/{job_id}",
    "/result/full": "/result/{job_id}",
    "/result/throttled": "/result/{job_id}",
    "/result/unknown": "/result/{job_id}",
    "/jobs?limit=200": "/jobs",
    "/jobs?label=x": "/jobs",
    "/batches": "/batches",
    f"/batches/{BATCHES[0]}": "/batches/{name}",
    f"/batches/{BATCHES[0]}/results": "/batches/{name}/results",
    f"/batches/{BATCHES[0]}/results?format=csv": "/batches/{name}/results",
    "/jobs/export?format=csv": "/jobs/export",
    "/inbox": "/inbox",
    f"/inbox/{PHOTO}": "/inbox/{name}",
    "/describers": "/describers",
    "/limits": "/limits",
    "/problems": "/problems",
    "/problems/NotDone": "/problems/{reason}",
    "/healthz": "/healthz",
    "/readyz": "/readyz",
}
"""Templates of paths, by the path and query of a GET request."""


def examples() -> Iterator[tuple[str, str, Any, dict[str, Any]]]:
    """Yield the operation, the place, the example and its schema."""
    for operation, found in OPERATIONS.items():
        contents = {"request": found.get("requestBody", {}), **found["responses"]}
        for place, part in contents.items():
            for media_type, content in part.get("content", {}).items():
                named = {it: one["value"] for it, one in content.get("examples", {}).items()}
                if "example" in content:
                    named["example"] = content["example"]
                for name, value in named.items():
                    yield operation, f"{place} {media_type} {name}", value, content["schema"]


@pytest.fixture
def known(cluster: Cluster, jobs: Jobs) -> None:
    """Jobs with everything that an answer may have."""
    full = job_body(11, name="full", spec=SPEC, status={"result": STORED}, owner="ann")
    throttled = job_body(12, name="throttled", phase="failed", status={"error": THROTTLED})
    for body in (full, throttled):
        cluster.jobs[body["metadata"]["name"]] = ImageJob.model_validate(body)
        jobs.cache.observe(WatchEvent("ADDED", [body]))


def differences(operation: str, response: httpx.Response) -> list[str]:
    """Return what a response has, and its description lacks."""
    found = (response.status_code, dict(response.headers), response.content)
    return list(ANSWERS.differences(operation, *found))


def test_examples_have_exactly_the_fields_of_their_schemas() -> None:
    errors = [
        f"{operation}, {place}: {error}"
        for operation, place, value, schema in examples()
        for error in ANSWERS.errors(value, schema)
    ]
    assert not errors, "\n".join(errors)


def test_no_answer_is_an_object_of_which_nothing_is_said() -> None:
    bare = [
        f"{operation} {status} {media_type}"
        for operation, found in OPERATIONS.items()
        for status, response in found["responses"].items()
        for media_type, content in response.get("content", {}).items()
        if content["schema"].get("type") == "object"
    ]
    vague = [
        f"{name}.{field}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for field, found in schema.get("properties", {}).items()
        if found.get("additionalProperties") is True
    ]
    assert (bare, vague) == ([], [])


@pytest.mark.usefixtures("known", "batches")
@pytest.mark.parametrize("path", PATHS)
async def test_answer_has_exactly_the_fields_of_its_schema(
    client: httpx.AsyncClient, path: str
) -> None:
    await client.post(f"/inbox/{PHOTO}", files={"file": PNG})
    response = await client.get(path)
    assert differences(f"GET {PATHS[path]}", response) == []


@pytest.mark.usefixtures("known")
async def test_seconds_to_wait_have_the_name_that_the_schema_has(client: httpx.AsyncClient) -> None:
    error = (await client.get("/status/throttled")).json()["error"]
    assert error["retry_after_seconds"] == 12.5
    assert "retry_after_seconds" in DOCUMENT["components"]["schemas"]["JobError"]["properties"]


@pytest.mark.usefixtures("known", "batches")
async def test_lines_of_an_export_are_those_of_one_job(client: httpx.AsyncClient) -> None:
    lines = [json.loads(it) for it in (await client.get("/jobs/export")).text.splitlines()]
    assert {line["job_id"] for line in lines} >= {"full", "throttled"}
    for line in lines:
        assert line.pop("cursor")
        assert list(ANSWERS.errors_by_name(line, "JobDetails")) == []


OUTCOMES: dict[str, tuple[dict[str, Any], str]] = {
    "done": ({"phase": "done", "result": STORED}, "SubmittedResult"),
    "failed": ({"phase": "failed", "error": THROTTLED}, "SubmittedFailure"),
}


@pytest.mark.parametrize("phase", OUTCOMES)
@pytest.mark.parametrize("reuse", ["true", "false"])
async def test_outcome_of_a_submission_has_the_fields_of_its_schema(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, phase: str, reuse: str
) -> None:
    status, schema = OUTCOMES[phase]
    headers = {"Idempotency-Key": "k", "Prefer": "wait=0"}

    async def submit() -> httpx.Response:
        query = {"reuse": reuse}
        return await client.post("/submit", files={"file": PNG}, params=query, headers=headers)

    first = await submit()
    assert first.status_code == 202
    assert differences("POST /submit", first) == []
    name = first.json()["job_id"]
    body = cluster.jobs[name].model_dump(mode="json", by_alias=True) | {"status": status}
    cluster.jobs[name] = ImageJob.model_validate(body)
    jobs.cache.observe(WatchEvent("MODIFIED", [body]))

    again = await submit()
    assert (again.status_code, again.json()["status"]) == (200, phase)
    assert differences("POST /submit", again) == []
    assert list(ANSWERS.errors_by_name(again.json(), schema)) == []


@pytest.mark.parametrize("path", STREAMS)
def test_streams_say_what_their_events_are(path: str) -> None:
    content = OPERATIONS[f"GET {path}"]["responses"]["200"]["content"]["text/event-stream"]
    schemas = DOCUMENT["components"]["schemas"]
    assert content["x-itemSchema"] == {"$ref": "#/components/schemas/Event"}
    assert set(schemas["Event"]["properties"]["event"]["enum"]) == {
        "job",
        "batch",
        "deleted",
        "reset",
    }

    (data,) = [it[6:] for it in content["example"].splitlines() if it.startswith("data: ")]
    assert list(ANSWERS.errors_by_name(json.loads(data), "StatusResponse")) == []


def test_fields_of_describers_are_described() -> None:
    fields = DOCUMENT["components"]["schemas"]["DescriberResponse"]["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_headers_belong_to_documented_responses() -> None:
    operations = {found["operationId"]: found["responses"] for found in OPERATIONS.values()}
    for name, statuses in HEADERS.items():
        for status, headers in statuses.items():
            assert set(headers) <= operations[name][status]["headers"].keys(), name
