"""Tests that the API conforms to its OpenAPI document. Schemathesis generates the requests."""

import asyncio
from itertools import islice
from typing import Any

import pytest
import schemathesis
from conformance.conftest import BATCHES, DONE, FAILED, PHOTO, QUEUED
from conformance.strict_answers import Answers
from fastapi import FastAPI
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, from_schema
from schemathesis.engine.events import NonFatalError, ScenarioFinished

EXAMPLES = 25
"""How many requests to generate for each operation, valid and invalid ones together, in addition
to those that try each boundary of each parameter."""

PARTS = 6
"""Into how many tests the operations are divided, so that several processes share them. All of
them take more than a minute."""

KNOWN = {
    "path.job_id": [DONE, FAILED, QUEUED, f"{BATCHES[0]}.1"],
    "path.name": [*BATCHES, PHOTO],
    "path.custom_id": ["cat.jpg", "2024/dog.png"],
    "path.reason": ["JobNotFound", "NotDone"],
}
"""Values of parameters that exist. They are used in half of the requests."""

REFUSALS = [
    "400",
    "404",
    "405",
    "406",
    "408",
    "409",
    "410",
    "411",
    "413",
    "415",
    "422",
    "429",
    "431",
]
"""Statuses with which invalid requests may be refused. 404: an invalid id is unknown, too."""

STREAMS = ("/events", "/jobs/{job_id}/events", "/batches/{name}/events")
"""Paths whose successful responses don't end."""

KEYS = ("/keys", "/keys/{id}", "/session")
"""Paths that answer with 501 if clients are not authenticated."""

ENDLESS = frozenset({"follow"})
"""Parameters with which a response doesn't end."""


def configuration() -> SchemathesisConfig:
    """Return the settings, which make each run send the same requests."""
    parameters = {
        name: {"dictionary": name.removeprefix("path."), "probability": 0.5} for name in KNOWN
    }
    found: dict[str, Any] = {
        "seed": 1,
        "workers": 1,
        "request-timeout": 20,
        "continue-on-failure": True,
        "suppress-health-check": ["all"],
        "generation": {"max-examples": EXAMPLES, "deterministic": True, "no-shrink": True},
        "dictionaries": {
            name.removeprefix("path."): {"values": values} for name, values in KNOWN.items()
        },
        "parameters": parameters,
        "phases": {"stateful": {"enabled": False}},
        "checks": {
            # A request may be valid and still name nothing that exists, or contain no image.
            "positive_data_acceptance": {"enabled": False},
            "negative_data_rejection": {"expected-statuses": REFUSALS},
        },
        "cache": {"enabled": False},
    }
    return SchemathesisConfig.from_dict(found)


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the document without what would let unknown statuses pass.

    The application does not authenticate its clients, so its routes for keys only say that.
    """
    document = app.openapi()
    paths = {
        path: {method: _strict(operation) for method, operation in item.items()}
        for path, item in document["paths"].items()
        if path not in STREAMS and path not in KEYS
    }
    return {**document, "paths": paths}


def _strict(operation: dict[str, Any]) -> dict[str, Any]:
    responses = {status: it for status, it in operation["responses"].items() if status != "default"}
    parameters = [it for it in operation.get("parameters", []) if it["name"] not in ENDLESS]
    return {**operation, "security": [], "responses": responses, "parameters": parameters}


def failures_of(document: dict[str, Any], paths: list[str], url: str) -> tuple[list[str], set[str]]:
    """Send the requests, and return what failed, and the operations that were tested.

    The document has more paths than those to test: a request to one path may match another.
    """
    schema = schemathesis.openapi.from_dict(document, config=configuration()).include(path=paths)
    schema.config.update(base_url=url)
    answers = Answers(document)
    failures: list[str] = []
    tested: set[str] = set()

    for event in from_schema(schema).execute():
        match event:
            case ScenarioFinished():
                tested.add(event.recorder.label)
                failures += [*_failures_in(event), *_differences_in(event, answers)]
            case NonFatalError():
                failures.append(f"{event.label}: {event.value!r}")
    return failures, tested


def _failures_in(event: ScenarioFinished) -> list[str]:
    recorder = event.recorder
    return [
        f"{check.name}: {check.failure_info.failure}\n{check.failure_info.code_sample}"
        for case_id, checks in recorder.checks.items()
        for check in checks
        if check.status is Status.FAILURE
        and check.failure_info
        and not (
            check.name == "negative_data_rejection"
            and has_ignored_option(recorder.cases[case_id].value)
        )
    ]


def _differences_in(event: ScenarioFinished, answers: Answers) -> set[str]:
    """Return what answers have, and the document lacks."""
    operation = event.recorder.label
    found: set[str] = set()
    for interaction in event.recorder.interactions.values():
        response = interaction.response
        if response and interaction.request.method == operation.partition(" ")[0]:
            headers = {name: values[0] for name, values in response.headers.items()}
            found.update(
                answers.differences(operation, response.status_code, headers, response.content)
            )
    return found


def has_ignored_option(case: schemathesis.Case) -> bool:
    """Return whether the API ignores an option, as if the client had not sent it.

    It ignores blank options, and those in the query that are also in the form.
    """
    form = case.body if isinstance(case.body, dict) else {}
    query = case.query or {}
    values = [*query.values(), *form.values()]
    is_blank = any(isinstance(value, str) and not value.strip() for value in values)
    return is_blank or not form.keys().isdisjoint(query)


@pytest.mark.filterwarnings("ignore")  # schemathesis warns about what it can't generate
@pytest.mark.parametrize("part", range(PARTS))
async def test_responses_conform_to_the_openapi_document(
    app: FastAPI, port: int, part: int
) -> None:
    document = document_of(app)
    paths = list(islice(document["paths"], part, None, PARTS))
    url = f"http://127.0.0.1:{port}"
    failures, tested = await asyncio.to_thread(failures_of, document, paths, url)

    operations = {
        f"{method.upper()} {path}" for path in paths for method in document["paths"][path]
    }
    assert operations <= tested
    assert not failures, "\n\n".join(failures)
