"""Convert boto3's exceptions to DescribeErrors.

See docs.aws.amazon.com/rekognition/latest/dg/error-handling.html.
"""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    InvalidRegionError,
    NoCredentialsError,
    PartialCredentialsError,
)
from vision_node_contract.models.reasons import DescribeError, Reason

from ...remote.retry_after import retry_after
from ...remote.sanitize import quote_provider

_BY_CODE = {
    "AccessDeniedException": Reason.CREDENTIALS_REFUSED,
    "ExpiredTokenException": Reason.CREDENTIALS_REFUSED,
    "IncompleteSignatureException": Reason.CREDENTIALS_REFUSED,
    "InvalidSignatureException": Reason.CREDENTIALS_REFUSED,
    "MissingAuthenticationTokenException": Reason.CREDENTIALS_REFUSED,
    "UnrecognizedClientException": Reason.CREDENTIALS_REFUSED,
    "ImageTooLargeException": Reason.IMAGE_TOO_LARGE,
    "InvalidImageFormatException": Reason.IMAGE_UNREADABLE,
    "LimitExceededException": Reason.RATE_LIMITED,
    "ProvisionedThroughputExceededException": Reason.RATE_LIMITED,
    "ThrottlingException": Reason.RATE_LIMITED,
    "InternalServerError": Reason.PROVIDER_UNAVAILABLE,
    "ServiceUnavailableException": Reason.PROVIDER_UNAVAILABLE,
}

_CHECK_CREDENTIALS = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role and its permission to call"
    " Rekognition"
)


def error_for(error: ClientError | BotoCoreError) -> DescribeError:
    """Return the DescribeError for a failed request."""
    if isinstance(error, ClientError):
        return _client_error(error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        message = f"there are no AWS credentials; {_CHECK_CREDENTIALS}"
        return DescribeError(Reason.CREDENTIALS_MISSING, message)
    if isinstance(error, CredentialRetrievalError):
        return DescribeError(
            Reason.CREDENTIALS_REFUSED, f"AWS did not provide credentials; {_CHECK_CREDENTIALS}"
        )
    if isinstance(error, InvalidRegionError):
        return DescribeError(
            Reason.OPTIONS_INVALID, f"AWS_REGION is not a region: {quote_provider(str(error))}"
        )

    cause = quote_provider(_cause(error))
    message = f"Rekognition cannot be reached or sent an invalid response ({cause})"
    return DescribeError(Reason.PROVIDER_UNAVAILABLE, message)


def is_json_answer(answer: Mapping[str, Any]) -> bool:
    """Return whether an answer with HTTP 200 is JSON.

    boto3 treats any other answer, such as a web page, as empty.
    """
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return "json" in headers.get("content-type", "")


def wrong_protocol() -> DescribeError:
    """Return the DescribeError for an answer from another server, such as a login page."""
    message = "the answer is not from Rekognition; a proxy or a login page may have sent it"
    return DescribeError(Reason.PROVIDER_UNAVAILABLE, message)


def _cause(error: BotoCoreError) -> str:
    """Return the error's type, and a nested error's message. Such messages contain no key."""
    inner = getattr(error, "kwargs", {}).get("error")
    return f"{type(error).__name__}: {inner}" if inner else type(error).__name__


def _client_error(error: ClientError) -> DescribeError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    metadata = error.response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 500)
    if code not in _BY_CODE and (300 <= status < 400 or status in (404, 405)):
        message = (
            f"the server has nothing at that address (HTTP {status});"
            " the Describer's option `endpoint`, or AWS_REGION, looks wrong"
        )
        return DescribeError(Reason.OPTIONS_INVALID, message)

    by_status = Reason.PROVIDER_UNAVAILABLE if status >= 500 else Reason.REQUEST_REFUSED
    reason = _BY_CODE.get(code, by_status)
    if reason is Reason.CREDENTIALS_REFUSED:  # AWS's message contains the key's ID
        message = f"AWS rejected the credentials ({quote_provider(code)}); {_CHECK_CREDENTIALS}"
        return DescribeError(reason, message)

    words = quote_provider(str(error.response.get("Error", {}).get("Message", "")))
    wait = retry_after(metadata.get("HTTPHeaders", {})) if reason.retryable else None
    message = f"Rekognition answered with {quote_provider(code)}: {words}"
    return DescribeError(reason, message, retry_after=wait)
