"""Tests that the API conforms to its OpenAPI document. Schemathesis generates the requests."""

from contextlib import suppress

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

EXAMPLES = 60
"""How many valid and how many invalid requests to generate for each operation. This is enough to
try unusual values of every parameter, and takes only seconds."""

TIMEOUT_SECONDS = 90
"""Time limit for a response. With `Prefer: wait=60`, one may take a minute."""

KEYS = ("/keys", "/keys/{id}", "/session")
"""Paths that answer with 501, because clients of this release are not authenticated. The tests in
tests/e2e/access use them."""

CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]


def test_responses_conform_to_the_openapi_document(url: str) -> None:
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    # Streams of events have no end. tests/e2e/following reads them.
    found = [operation.ok() for operation in document.get_all_operations()]
    operations = [it for it in found if not it.path.endswith("/events") and it.path not in KEYS]
    assert {operation.path for operation in operations} >= {
        "/submit",
        "/status/{job_id}",
        "/result/{job_id}",
        "/inbox",
        "/inbox/{name}",
    }

    for operation in operations:
        check(operation, GenerationMode.POSITIVE)

        # If an operation's only parameter is arbitrary text in the path, no request is invalid.
        with suppress(Unsatisfiable):
            check(operation, GenerationMode.NEGATIVE)


def check(operation: schemathesis.schemas.APIOperation, mode: GenerationMode) -> None:
    """Send many requests for one operation. Fail if a response violates the document."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS, timeout=TIMEOUT_SECONDS)

    send()
