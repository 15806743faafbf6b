"""What boto3 raises, as reasons (docs.aws.amazon.com/rekognition/latest/dg/error-handling.html)."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
)
from vision_node_contract.reasons import DescribeError, Reason

from .waits import retry_after
from .wording import said

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

_CHECK_KEY = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role and its right to call Rekognition"
)


def reason_for(error: ClientError | BotoCoreError) -> DescribeError:
    """Return the DescribeError for what a request raised."""
    if isinstance(error, ClientError):
        return _answered(error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        message = f"there are no AWS credentials; {_CHECK_KEY}"
        return DescribeError(Reason.CREDENTIALS_MISSING, message)
    if isinstance(error, CredentialRetrievalError):
        return DescribeError(Reason.CREDENTIALS_REFUSED, f"AWS gives no credentials; {_CHECK_KEY}")
    message = f"Rekognition can't be reached ({type(error).__name__})"
    return DescribeError(Reason.PROVIDER_UNAVAILABLE, message)


def _answered(error: ClientError) -> DescribeError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    about = error.response.get("ResponseMetadata", {})
    status = about.get("HTTPStatusCode", 500)
    otherwise = Reason.PROVIDER_UNAVAILABLE if status >= 500 else Reason.REQUEST_REFUSED
    reason = _BY_CODE.get(code, otherwise)
    if reason is Reason.CREDENTIALS_REFUSED:  # in AWS's own words there is the key's identifier
        return DescribeError(reason, f"AWS refuses the credentials ({said(code)}); {_CHECK_KEY}")
    words = said(str(error.response.get("Error", {}).get("Message", "")))
    wait = retry_after(about.get("HTTPHeaders", {})) if reason.retryable else None
    return DescribeError(reason, f"Rekognition answers {said(code)}: {words}", retry_after=wait)
