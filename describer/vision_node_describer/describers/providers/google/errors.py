"""What Google's client raises, as reasons."""

from google.api_core.exceptions import GoogleAPICallError
from vision_node_contract.models.reasons import DescribeError, Reason

from ...remote.retry_after import retry_after
from ...remote.sanitize import said

_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_EXPIRED"})
"""Google answers 400 to a wrong key; only the details say why (google.rpc.ErrorInfo)."""

_NO_SUCH_PAGE = (404, 405)

_BY_RPC_CODE = {
    3: Reason.IMAGE_UNREADABLE,  # INVALID_ARGUMENT: "Bad image data"
    7: Reason.CREDENTIALS_REFUSED,  # PERMISSION_DENIED
    8: Reason.RATE_LIMITED,  # RESOURCE_EXHAUSTED
    16: Reason.CREDENTIALS_REFUSED,  # UNAUTHENTICATED
}
"""Of one picture's status inside an answer (google.rpc.Code)."""


def wrong_address(what: str) -> DescribeError:
    """Return the DescribeError for a server that is not Google's, and says `what` of itself."""
    message = f"the server {what}; the Describer's option endpoint looks wrong: leave it out, or set a host"
    return DescribeError(Reason.OPTIONS_INVALID, f"{message} such as eu-vision.googleapis.com")


def reason_for_status(code: int, message: str) -> DescribeError:
    """Return the DescribeError for one picture's google.rpc.Status."""
    reason = _BY_RPC_CODE.get(code, Reason.PROVIDER_UNAVAILABLE)
    return DescribeError(reason, f"Google says of the picture: {said(message)}")


def reason_for(error: GoogleAPICallError, key: str | None) -> DescribeError:
    """Return the DescribeError for what a request raised; `key` is left out of what is quoted."""
    if error.code in _NO_SUCH_PAGE:
        return wrong_address(
            f"has nothing at that address (HTTP {int(error.code)}: {said(error.message, key)})"
        )

    reason, what = _reason(error)
    wait = (
        retry_after(error.response.headers)
        if error.response is not None and reason.retryable
        else None
    )

    return DescribeError(reason, f"{what} ({said(error.message, key)})", retry_after=wait)


def _reason(error: GoogleAPICallError) -> tuple[Reason, str]:
    status = int(error.code or 500)
    if error.reason == "BILLING_DISABLED":
        return Reason.QUOTA_EXHAUSTED, "the Google project has no billing; enable it"

    if error.reason in _KEY_REASONS or status in (401, 403):
        return (
            Reason.CREDENTIALS_REFUSED,
            "Google refuses the credentials, or the project lacks the Vision API",
        )

    if status == 429:
        return Reason.RATE_LIMITED, "Google is asked too often"
    if status >= 500 or status == 408:
        return Reason.PROVIDER_UNAVAILABLE, f"Google answers HTTP {status}"

    return Reason.REQUEST_REFUSED, f"Google refuses the request (HTTP {status})"
