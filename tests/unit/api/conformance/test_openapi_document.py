"""Tests that the OpenAPI document is complete, and that its examples are valid."""

from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
from api_documents.snapshot import current
from fastapi.routing import APIRoute, iter_route_contexts
from vision_node_api.app import build_app
from vision_node_api.routes.openapi.texts import TAGS

DOCUMENT = current()
EXAMPLES = "api/vision_node_api/routes/openapi/examples.py"
TEXTS = "api/vision_node_api/routes/openapi/texts.py"

HIDDEN = {"/", "/docs", "/docs/oauth2-redirect", "/inbox/", "/ui", "/ui/{name}"}
"""Paths of pages for people, and of a variant of /inbox."""

WITH_EXAMPLES = {"application/json", "application/jsonl", "text/csv", "text/event-stream"}
"""Media types of responses that have an example."""

OPERATIONS: dict[str, dict[str, Any]] = {
    f"{method.upper()} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}

Content = tuple[str, dict[str, Any]]


def successes(operation: dict[str, Any]) -> Iterator[Content]:
    """Yield the media types of successful responses."""
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            yield from response.get("content", {}).items()


def problems(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for status, response in operation["responses"].items():
        if status == "default" or int(status) >= 400:
            yield response


def validate(example: Any, schema: dict[str, Any]) -> None:
    """Fail if an example does not match its schema, which may refer to components."""
    jsonschema.validate(example, {**schema, "components": DOCUMENT["components"]})


def test_every_route_is_documented() -> None:
    routes = iter_route_contexts(build_app().routes)
    paths = {it.path_format for it in routes if isinstance(it.original_route, APIRoute)}
    assert paths - HIDDEN == set(DOCUMENT["paths"])


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_has_its_texts(name: str) -> None:
    operation = OPERATIONS[name]
    assert 10 <= len(operation["summary"]) <= 110
    assert operation["description"].startswith(operation["summary"].split()[0])
    assert set(operation["tags"]) <= {tag["name"] for tag in TAGS}, f"describe the tag in {TEXTS}"

    for parameter in operation.get("parameters", []):
        known = parameter.get("description")
        assert known, f"describe {parameter['name']} at its route, or in PARAMETERS of {TEXTS}"
        assert {"type": "null"} not in parameter["schema"].get("anyOf", [])


def test_names_of_operations_are_unique() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", OPERATIONS)
def test_problems_have_their_schema(name: str) -> None:
    for response in problems(OPERATIONS[name]):
        assert response["description"]
        (media_type, content), *others = response["content"].items()
        assert (media_type, others) == ("application/problem+json", [])
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        if "example" in content:
            validate(content["example"], content["schema"])


@pytest.mark.parametrize("name", OPERATIONS)
def test_successful_responses_have_schema_and_example(name: str) -> None:
    operation = OPERATIONS[name]
    found = dict(successes(operation))
    assert found or {"201", "204"} & set(operation["responses"])

    for media_type, content in found.items():
        assert content["schema"]
        assert not {"example", "examples"} <= content.keys()
        examples = [it["value"] for it in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        if media_type in WITH_EXAMPLES:
            assert examples, f"add {operation['operationId']} to RESPONSES in {EXAMPLES}"
        for example in examples:
            validate(example, content["schema"])


@pytest.mark.parametrize("name", ["POST /submit", "POST /batches", "POST /inbox/{name}"])
def test_requests_have_valid_examples(name: str) -> None:
    contents = OPERATIONS[name]["requestBody"]["content"]
    examples = {kind: content for kind, content in contents.items() if "example" in content}
    assert "multipart/form-data" in examples
    for content in examples.values():
        validate(content["example"], content["schema"])


async def test_example_of_a_submission_works(client: httpx.AsyncClient) -> None:
    contents = OPERATIONS["POST /submit"]["requestBody"]["content"]
    form = contents["multipart/form-data"]["example"]
    files = {name: (None, str(value)) for name, value in form.items()}
    assert (await client.post("/submit", files=files)).status_code == 202

    body = contents["application/octet-stream"]["example"]
    headers = {"Content-Type": "application/octet-stream"}
    response = await client.post("/submit", content=body, headers=headers)
    assert response.status_code == 202


def test_document_has_a_version_and_no_server() -> None:
    assert DOCUMENT["info"]["version"] == build_app().version
    assert "servers" not in DOCUMENT


def test_frameworks_own_schemas_of_errors_are_gone() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas.keys().isdisjoint({"HTTPValidationError", "ValidationError"})
