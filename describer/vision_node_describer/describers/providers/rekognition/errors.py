"""What boto3 raises, as reasons (docs.aws.amazon.com/rekognition/latest/dg/error-handling.html)."""

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
from ...remote.sanitize import said

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

_CHECK_KEY = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role and its right to call Rekognition"


def reason_for(error: ClientError | BotoCoreError) -> DescribeError:
    """Return the DescribeError for what a request raised."""
    if isinstance(error, ClientError):
        return _answered(error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        message = f"there are no AWS credentials; {_CHECK_KEY}"
        return DescribeError(Reason.CREDENTIALS_MISSING, message)
    if isinstance(error, CredentialRetrievalError):
        return DescribeError(Reason.CREDENTIALS_REFUSED, f"AWS gives no credentials; {_CHECK_KEY}")
    if isinstance(error, InvalidRegionError):
        return DescribeError(Reason.OPTIONS_INVALID, f"AWS_REGION is none: {said(str(error))}")

    message = (
        f"Rekognition can't be reached, or does not speak its protocol ({said(_cause(error))})"
    )
    return DescribeError(Reason.PROVIDER_UNAVAILABLE, message)


def is_of_protocol(answer: Mapping[str, Any]) -> bool:
    """Return whether an answer with HTTP 200 is JSON: boto3 takes a web page for one without any findings."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return "json" in headers.get("content-type", "")


def no_protocol() -> DescribeError:
    """Return the DescribeError for an answer that is none, such as the page of a portal."""
    message = "what answers is not Rekognition; is there a proxy or a portal in between?"
    return DescribeError(Reason.PROVIDER_UNAVAILABLE, message)


def _cause(error: BotoCoreError) -> str:
    """Return what went wrong, with the words of an error within; they hold no key."""
    inner = getattr(error, "kwargs", {}).get("error")
    return f"{type(error).__name__}: {inner}" if inner else type(error).__name__


def _answered(error: ClientError) -> DescribeError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    about = error.response.get("ResponseMetadata", {})
    status = about.get("HTTPStatusCode", 500)
    if code not in _BY_CODE and (300 <= status < 400 or status in (404, 405)):
        message = f"the server has nothing at that address (HTTP {status}); the Describer's option endpoint"
        return DescribeError(Reason.OPTIONS_INVALID, f"{message}, or AWS_REGION, looks wrong")

    otherwise = Reason.PROVIDER_UNAVAILABLE if status >= 500 else Reason.REQUEST_REFUSED
    reason = _BY_CODE.get(code, otherwise)
    if reason is Reason.CREDENTIALS_REFUSED:  # in AWS's own words there is the key's identifier
        return DescribeError(reason, f"AWS refuses the credentials ({said(code)}); {_CHECK_KEY}")

    words = said(str(error.response.get("Error", {}).get("Message", "")))
    wait = retry_after(about.get("HTTPHeaders", {})) if reason.retryable else None
    return DescribeError(reason, f"Rekognition answers {said(code)}: {words}", retry_after=wait)
