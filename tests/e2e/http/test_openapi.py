"""The API conforms to its OpenAPI document for all requests that schemathesis generates."""

from contextlib import suppress

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

EXAMPLES = 60
"""Number of valid, and of invalid, requests for each operation: enough for odd values of every
parameter within seconds."""

CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]


def test_no_request_causes_a_server_error(url: str) -> None:
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

        # An operation whose only parameter is any text in its path has no invalid requests.
        with suppress(Unsatisfiable):
            check(operation, GenerationMode.NEGATIVE)


def check(operation: schemathesis.schemas.APIOperation, mode: GenerationMode) -> None:
    """Send many requests for one operation; fail if a response violates the document."""

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
