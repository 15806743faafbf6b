"""Complete the OpenAPI document that FastAPI derives from the routes."""

import re
from collections.abc import Iterator
from copy import deepcopy
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from ...web.event_stream import MEDIA_TYPE as EVENT_STREAM
from ...web.problems import MEDIA_TYPE
from .event_schema import EVENT_SCHEMAS, EVENTS
from .examples import REQUESTS, RESPONSES
from .problem_schema import PROBLEM, example_of
from .reason_groups import Reasons, merged
from .response_headers import HEADERS, OF_ANY_PROBLEM, OF_PROBLEMS, headers_of
from .route_reasons import ANY_REQUEST, REASONS, reasons_text
from .security import SECURITY_SCHEME, access_reasons, security_of
from .texts import PARAMETERS, TAGS
from .webhooks import webhooks

Json = dict[str, Any]

GENERATED = "Successful Response"
"""FastAPI's description of a response that has none."""

_PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}

_METHODS = frozenset({"get", "put", "post", "delete", "patch"})

_END_OF_SENTENCE = re.compile(r"\.(?=\s|$)")

_VALIDATION = ("HTTPValidationError", "ValidationError")
"""FastAPI's schemas of the responses to invalid requests, which the API does not send."""


def operation_id(route: APIRoute) -> str:
    """Return the name under which generated clients know a route: the name of its function."""
    return route.name


def complete_openapi(app: FastAPI) -> None:
    """Let `app.openapi()` return the completed document."""
    generate = app.openapi
    completed: Json = {}

    def openapi() -> Json:
        if not completed:
            # Routes of all applications in a process share parts of the document.
            completed.update(_completed(deepcopy(generate())))
        return completed

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(document: Json) -> Json:
    used = set()
    for method, path, operation in _operations(document):
        used.update(operation["tags"])
        operation["security"] = security_of(method, path)
        _complete_texts(operation)
        _complete_parameters(operation)
        _complete_request(operation)
        _complete_responses(operation, access_reasons(method, path))

    schemas = document["components"]["schemas"]
    for name in _VALIDATION:
        schemas.pop(name, None)
    schemas["Problem"] = PROBLEM
    schemas.update(EVENT_SCHEMAS)
    document["components"]["securitySchemes"] = {"bearer": SECURITY_SCHEME}

    document["tags"] = [tag for tag in TAGS if tag["name"] in used]
    document["webhooks"] = webhooks()
    return document


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield the method, path and description of each operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield method.upper(), path, operation


def _complete_texts(operation: Json) -> None:
    """Use the first sentence of the description as the summary, which lists of routes show."""
    text = operation["description"]
    end = _END_OF_SENTENCE.search(text)
    operation["summary"] = " ".join((text[: end.start()] if end else text).split())


def _complete_parameters(operation: Json) -> None:
    for parameter in operation.get("parameters", []):
        # A new schema, because the form of a route may share the old one.
        schema = _without_null(parameter["schema"])
        parameter["schema"] = {k: v for k, v in schema.items() if k not in {"title", "description"}}
        text = schema.get("description") or PARAMETERS.get(parameter["name"].lower())
        if text:
            parameter.setdefault("description", text)


def _without_null(schema: Json) -> Json:
    """Return the schema without its null variant: a parameter is absent instead."""
    variants = [it for it in schema.get("anyOf", []) if it != {"type": "null"}]
    if len(variants) != 1:
        return schema

    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**rest, **variants[0]}


def _complete_request(operation: Json) -> None:
    contents = operation.get("requestBody", {}).get("content", {})
    for media_type, example in REQUESTS.get(operation["operationId"], {}).items():
        contents[media_type].setdefault("example", example)


def _complete_responses(operation: Json, of_access: Reasons) -> None:
    responses, name = operation["responses"], operation["operationId"]
    all_reasons = merged(REASONS.get(name, {}), of_access)
    for status in of_access:
        responses.setdefault(str(status), {})

    for status, response in responses.items():
        if status.startswith("2"):
            _complete_success(operation, status, response)
        elif int(status) >= 400:
            reasons = all_reasons.get(int(status), ())
            responses[status] = _problem_response(int(status), reasons)

        headers = headers_of(HEADERS.get(name, {}).get(status, ()))
        if headers:
            # A new dictionary, because routes may share the old one.
            response["headers"] = {**response.get("headers", {}), **headers}

    responses["default"] = {
        "description": f"Any other problem. Any request may be answered with {_any_reasons()}",
        "headers": headers_of(OF_ANY_PROBLEM),
        "content": {MEDIA_TYPE: {"schema": _PROBLEM_SCHEMA}},
    }


def _complete_success(operation: Json, status: str, response: Json) -> None:
    if response["description"] == GENERATED:
        response["description"] = HTTPStatus(int(status)).phrase

    examples = RESPONSES.get(operation["operationId"], {})
    for media_type, content in response.get("content", {}).items():
        schema = content.setdefault("schema", {})
        if not schema:
            schema.update(_schema_of(media_type))
        elif "$ref" not in schema:
            schema.pop("title", None)
        if media_type == EVENT_STREAM:
            content.update(EVENTS)
        elif media_type in examples and "examples" not in content:
            content.setdefault("example", examples[media_type])


def _schema_of(media_type: str) -> Json:
    """Return the schema of a response without one, whose body is not a single JSON value."""
    is_text = media_type.startswith("text/") or media_type == "application/jsonl"
    return {"type": "string"} if is_text else {"type": "string", "format": "binary"}


def _problem_response(status: int, reasons: tuple[str, ...]) -> Json:
    """Return the description of an error, which is a problem document whatever FastAPI says."""
    text, content = HTTPStatus(status).phrase, {"schema": _PROBLEM_SCHEMA}
    if reasons:
        text = f"{text}: {reasons_text(reasons)}"
        content["example"] = example_of(reasons[0], status)

    headers = headers_of(OF_PROBLEMS.get(status, ()))
    return {
        "description": text,
        **({"headers": headers} if headers else {}),
        "content": {MEDIA_TYPE: content},
        "x-reasons": [*reasons],
    }


def _any_reasons() -> str:
    return ", ".join(f"{status} {reasons_text(it)}" for status, it in ANY_REQUEST.items())
