"""Tests of GET /limits, and of how the OpenAPI document describes /limits and /submit."""

from typing import Any

import httpx
import pytest
from api_fakes import LIMIT, SETTINGS
from vision_node_api.services.jobs import Jobs
from vision_node_api.uploads.submit_options import OPTION_NAMES
from vision_node_api.uploads.upload_body import largest_upload_bytes
from vision_node_contract.images.formats import SUPPORTED

OPTIONS = {
    *("describer", "prompt", "language", "detail", "maxLength", "fallback", "text", "ttlSeconds"),
    *("labels", "priority", "reuse", "callbackURL"),
}


async def test_limits_are_reported(client: httpx.AsyncClient, jobs: Jobs) -> None:
    response = await client.get("/limits")
    assert response.status_code == 200
    assert response.json() == {
        "imageBytes": LIMIT,
        "imagePixels": SETTINGS.max_image_pixels,
        "mediaTypes": [known.media_type for known in SUPPORTED],
        "formats": [known.name for known in SUPPORTED],
        "unfinishedJobs": SETTINGS.max_unfinished_jobs,
        "imageJobs": SETTINGS.max_imagejobs,
        "ttlSeconds": 604_800,
        "defaultTtlSeconds": 86_400,
        "labels": 16,
        "minPriority": -10,
        "maxPriority": 10,
        "history": False,
        "batchImages": SETTINGS.max_batch_images,
        "batchZipBytes": 10_000 * 8 * 1024**2,
        "batchStartSeconds": 86_400,
        "retryImages": 10_000,
        "customIdCharacters": 512,
        "uploadBytesPerSecond": 4096,
        "uploadStallSeconds": 30,
        "uploadSeconds": pytest.approx(30 + largest_upload_bytes(LIMIT) / 4096),
        "answerSeconds": 102,
        "authentication": False,
        "ownerLimits": None,
    }


def test_upload_limits_come_from_the_settings(jobs: Jobs) -> None:
    limits = jobs.uploads.limits
    assert limits.memory_bytes == SETTINGS.upload_memory_bytes
    assert limits.bytes_per_second == SETTINGS.upload_bytes_per_second
    assert limits.largest_bytes == largest_upload_bytes(SETTINGS.max_image_bytes)


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


async def test_limits_are_documented(document: dict[str, Any]) -> None:
    ok = document["paths"]["/limits"]["get"]["responses"]["200"]
    reference = ok["content"]["application/json"]["schema"]["$ref"]
    schema = document["components"]["schemas"][reference.rsplit("/", 1)[-1]]
    assert set(schema["required"]) == {
        *("imageBytes", "imagePixels", "mediaTypes", "formats", "unfinishedJobs", "imageJobs"),
        *("ttlSeconds", "defaultTtlSeconds", "uploadSeconds", "answerSeconds", "history"),
        *("batchImages", "batchZipBytes", "batchStartSeconds", "retryImages"),
        *("customIdCharacters", "uploadBytesPerSecond", "uploadStallSeconds"),
        *("labels", "minPriority", "maxPriority", "authentication", "ownerLimits"),
    }
    assert all(field["description"] for field in schema["properties"].values())


async def test_submit_body_and_parameters_are_documented(document: dict[str, Any]) -> None:
    submit = document["paths"]["/submit"]["post"]
    content = submit["requestBody"]["content"]
    assert content.keys() == {"multipart/form-data", "image/*", "application/octet-stream"}

    form = content["multipart/form-data"]["schema"]
    assert form["required"] == ["file"]
    assert form["properties"].keys() == {"file"} | OPTIONS
    assert content["image/*"]["schema"]["format"] == "binary"

    parameters = {(known["in"], known["name"]): known for known in submit["parameters"]}
    assert parameters.keys() == {("query", name) for name in OPTIONS} | {
        ("header", "idempotency-key"),
        ("header", "prefer"),
    }
    assert parameters["query", "detail"]["schema"]["enum"] == ["low", "high", "auto"]
    assert {"202", "400", "408", "413", "415", "422", "429", "503"} <= submit["responses"].keys()


def test_documented_options_are_accepted() -> None:
    assert OPTIONS <= OPTION_NAMES
