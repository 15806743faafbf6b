"""Determine the Reason for an error in OpenAI's protocol."""

import re

from vision_node_contract.models.reasons import Reason

from .error_body import ErrorBody

_CODES = {
    Reason.QUOTA_EXHAUSTED: {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "budget_exceeded",
        "insufficient_balance",
        "exceeded_current_quota_error",
        "quota_exceeded",
    },
    Reason.MODEL_NOT_FOUND: {"model_not_found", "deploymentnotfound", "model_not_available"},
    Reason.CONTENT_REFUSED: {
        "content_filter",
        "content_policy_violation",
        "moderation_error",
        "moderation_blocked",
        "responsibleaipolicyviolation",
        "data_inspection_failed",
        "datainspectionfailed",
    },
    Reason.CREDENTIALS_REFUSED: {
        "invalid_api_key",
        "api_key_invalid",
        "authentication_error",
        "permission_error",
        "unauthenticated",
        "permission_denied",
    },
    Reason.RATE_LIMITED: {
        "rate_limit_exceeded",
        "rate_limit_error",
        "too_many_requests",
        "resource_exhausted",
    },
    Reason.PROVIDER_UNAVAILABLE: {
        "server_error",
        "overloaded_error",
        "api_error",
        "timeout",
        "unavailable",
        "internal",
        "deadline_exceeded",
    },
    Reason.REQUEST_REFUSED: {"invalid_request_error", "invalid_argument"},
}
"""Error codes of OpenAI (platform.openai.com/docs/guides/error-codes), Azure, Google
(google.rpc.Code) and DashScope."""

_RELIABLE_CODES = (
    Reason.QUOTA_EXHAUSTED,
    Reason.MODEL_NOT_FOUND,
    Reason.CONTENT_REFUSED,
)
"""Reasons for which an error's code is more reliable than its HTTP status."""

_RELIABLE_PHRASES = (
    (
        Reason.CREDENTIALS_REFUSED,
        re.compile(
            r"api.?key.{0,20}(?:not valid|invalid)|(?:invalid|incorrect) api.?key", re.IGNORECASE
        ),
    ),
    (
        Reason.CONTENT_REFUSED,
        re.compile(r"requires moderation|input was flagged|safety system", re.IGNORECASE),
    ),
)
"""Phrases of errors that can be identified only by their message. Gemini rejects a wrong key with
HTTP 400, and OpenRouter rejects a flagged picture with HTTP 403."""

_PHRASES = (
    (Reason.RATE_LIMITED, re.compile(r"rate.?limit|too many requests", re.IGNORECASE)),
    (
        Reason.QUOTA_EXHAUSTED,
        re.compile(r"quota|insufficient (?:credit|balance|fund)", re.IGNORECASE),
    ),
    (
        Reason.CREDENTIALS_REFUSED,
        re.compile(r"unauthori[sz]ed|no auth|authentication", re.IGNORECASE),
    ),
    (
        Reason.MODEL_NOT_FOUND,
        re.compile(r"model.{0,200}(?:not (?:found|exist)|unknown)", re.IGNORECASE),
    ),
    (Reason.CONTENT_REFUSED, re.compile(r"content (?:filter|policy|management)", re.IGNORECASE)),
)
"""Phrases that determine the reason of an error without a status or a known code."""

_NO_SUCH_PATH = re.compile(
    r"^\W*(?:404\W+)?(?:the )?(?:requested )?(?:page|resource|route|url|path|endpoint)?\s*(?:was )?"
    r"not found\W*$|invalid url|method not allowed|no route"
    r"|unknown (?:url|path|endpoint|request url)|unexpected endpoint|cannot post"
    r"|(?:requested )?url was not found",
    re.IGNORECASE,
)
"""Messages about a path that does not exist on the server. LM Studio sends its message with HTTP
200."""

_ABOUT_MODEL = re.compile(r"model|deployment|engine|endpoints? found", re.IGNORECASE)
"""Words in a 404 message that show that the model, rather than the address, does not exist.
OpenRouter calls the providers of a model "endpoints"."""

_STATUSES = {
    401: Reason.CREDENTIALS_REFUSED,
    402: Reason.QUOTA_EXHAUSTED,
    403: Reason.CREDENTIALS_REFUSED,
    404: Reason.MODEL_NOT_FOUND,
    408: Reason.PROVIDER_UNAVAILABLE,
    409: Reason.PROVIDER_UNAVAILABLE,
    429: Reason.RATE_LIMITED,
}


def classify_error(body: ErrorBody | None, status: int | None) -> Reason:
    """Return the reason for an error.

    Args:
        body: The parsed body; None if it does not follow the protocol.
        status: The HTTP status, or None if it was 200. The status in the body is used in that case.
    """
    error = body or ErrorBody()
    status = status or error.status
    if reliable := _by_code(error, _RELIABLE_CODES) or _by_phrase(error, _RELIABLE_PHRASES):
        return reliable
    if error.is_flagged:
        return Reason.CONTENT_REFUSED
    if _is_wrong_address(body, status):
        return Reason.OPTIONS_INVALID
    if status:
        return _by_status(status)

    return (
        _by_code(error, tuple(_CODES))
        or _by_phrase(error, _PHRASES)
        or (Reason.PROVIDER_UNAVAILABLE)
    )


def _is_wrong_address(body: ErrorBody | None, status: int | None) -> bool:
    """Return whether the error means that the address is wrong, rather than the model."""
    message = body.message if body else ""
    if body and body.requires_tls:
        return True
    if status in (None, 404, 405) and _NO_SUCH_PATH.search(message):
        return True

    return status == 405 or (status == 404 and not _ABOUT_MODEL.search(message))


def _by_code(error: ErrorBody, reasons: tuple[Reason, ...]) -> Reason | None:
    return next((reason for reason in reasons if error.codes & _CODES[reason]), None)


def _by_phrase(
    error: ErrorBody, phrases: tuple[tuple[Reason, re.Pattern[str]], ...]
) -> Reason | None:
    return next((reason for reason, pattern in phrases if pattern.search(error.message)), None)


def _by_status(status: int) -> Reason:
    if status in _STATUSES:
        return _STATUSES[status]
    return Reason.PROVIDER_UNAVAILABLE if status >= 500 else Reason.REQUEST_REFUSED
