"""The API keeps to its own OpenAPI document: whatever schemathesis makes of it, no answer is a 5xx."""

from contextlib import suppress

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

EXAMPLES = 60
"""Requests for each operation, sound and unsound: seconds in all, and odd values of each parameter."""

CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]


def test_no_request_ends_in_a_server_error(url: str) -> None:
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in document.get_all_operations()]
    assert {operation.path for operation in operations} >= {
        "/submit",
        "/status/{job_id}",
        "/result/{job_id}",
        "/inbox",
        "/inbox/{name}",
    }

    for operation in operations:
        check(operation, GenerationMode.POSITIVE)
        # An operation whose only parameter is any text in its path has no unsound requests.
        with suppress(Unsatisfiable):
            check(operation, GenerationMode.NEGATIVE)


def check(operation: schemathesis.schemas.APIOperation, mode: GenerationMode) -> None:
    """Send many requests for one operation, and fail at the first answer that breaks a promise."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS, timeout=30)

    send()
