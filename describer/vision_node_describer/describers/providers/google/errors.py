"""Convert the exceptions of Google's client to DescribeErrors."""

from google.api_core.exceptions import GoogleAPICallError
from vision_node_contract.models.reasons import DescribeError, Reason

from ...remote.retry_after import retry_after
from ...remote.sanitize import quote_provider

_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_EXPIRED"})
"""Google's reasons for rejecting a key. The HTTP status is then 400, and only the error's details
(google.rpc.ErrorInfo) contain the reason."""

_WRONG_ADDRESS_STATUSES = (404, 405)

_BY_RPC_CODE = {
    3: Reason.IMAGE_UNREADABLE,  # INVALID_ARGUMENT: "Bad image data"
    7: Reason.CREDENTIALS_REFUSED,  # PERMISSION_DENIED
    8: Reason.RATE_LIMITED,  # RESOURCE_EXHAUSTED
    16: Reason.CREDENTIALS_REFUSED,  # UNAUTHENTICATED
}
"""Reasons for an error, by the code in a picture's status (google.rpc.Code)."""


def wrong_address(problem: str) -> DescribeError:
    """Return the DescribeError for a wrong address; `problem` describes the server's response."""
    advice = "leave it out, or set a host such as eu-vision.googleapis.com"
    message = f"the server {problem}; the Describer's option `endpoint` looks wrong: {advice}"
    return DescribeError(Reason.OPTIONS_INVALID, message)


def error_for_status(code: int, message: str) -> DescribeError:
    """Return the DescribeError for one picture's google.rpc.Status."""
    reason = _BY_RPC_CODE.get(code, Reason.PROVIDER_UNAVAILABLE)
    return DescribeError(reason, f"Google rejected the picture: {quote_provider(message)}")


def error_for(error: GoogleAPICallError, key: str | None) -> DescribeError:
    """Return the DescribeError for a failed request. The message does not contain `key`."""
    words = quote_provider(error.message, key)
    if error.code in _WRONG_ADDRESS_STATUSES:
        return wrong_address(f"has nothing at that address (HTTP {int(error.code)}: {words})")

    reason, message = _reason(error)
    wait = None
    if error.response is not None and reason.retryable:
        wait = retry_after(error.response.headers)

    return DescribeError(reason, f"{message} ({words})", retry_after=wait)


def _reason(error: GoogleAPICallError) -> tuple[Reason, str]:
    """Return the reason for an error, and an explanation."""
    status = int(error.code or 500)
    if error.reason == "BILLING_DISABLED":
        return Reason.QUOTA_EXHAUSTED, "the Google project has no billing account; enable billing"

    if error.reason in _KEY_REASONS or status in (401, 403):
        return (
            Reason.CREDENTIALS_REFUSED,
            "Google rejected the credentials, or the Vision API is not enabled for the project",
        )

    if status == 429:
        return Reason.RATE_LIMITED, "rate limited by Google"
    if status >= 500 or status == 408:
        return Reason.PROVIDER_UNAVAILABLE, f"Google answered with HTTP {status}"

    return Reason.REQUEST_REFUSED, f"Google rejected the request (HTTP {status})"
