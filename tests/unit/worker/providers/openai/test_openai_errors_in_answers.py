"""Tests of errors that gateways send with HTTP status 200."""

import json
from typing import Any

import pytest
from openai_bodies import completion, failure
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers.providers.openai.errors import RequestContext
from vision_node_describer.describers.providers.openai.reply import read_reply

ERRORS: dict[str, tuple[bytes, Reason]] = {
    "rate limited": (failure({"code": 429, "message": "Rate limit exceeded"}), Reason.RATE_LIMITED),
    "rate limited, with a status as text": (
        failure({"code": "429", "message": "slow down"}),
        Reason.RATE_LIMITED,
    ),
    "rate limited, according to a code in words": (
        failure({"code": "rate_limit_exceeded"}),
        Reason.RATE_LIMITED,
    ),
    "wrong key": (
        failure({"code": 401, "message": "No auth credentials found"}),
        Reason.CREDENTIALS_REFUSED,
    ),
    "wrong key, according to the type": (
        failure({"type": "authentication_error"}),
        Reason.CREDENTIALS_REFUSED,
    ),
    "no credit": (
        failure({"code": 402, "message": "Insufficient credits"}),
        Reason.QUOTA_EXHAUSTED,
    ),
    "no quota": (failure({"code": "insufficient_quota", "status": 429}), Reason.QUOTA_EXHAUSTED),
    "no model": (
        failure({"code": 404, "message": "No endpoints found for x"}),
        Reason.MODEL_NOT_FOUND,
    ),
    "filtered": (failure({"code": "content_filter"}), Reason.CONTENT_REFUSED),
    "bad request": (failure({"code": 400, "message": "too many images"}), Reason.REQUEST_REFUSED),
    "overloaded": (failure({"code": 502, "message": "overloaded"}), Reason.PROVIDER_UNAVAILABLE),
    "flagged": (
        failure({"code": 403, "message": "requires moderation: your input was flagged"}),
        Reason.CONTENT_REFUSED,
    ),
    "in a list": (b'[{"error": {"code": 429, "message": "quota"}}]', Reason.RATE_LIMITED),
    "as an object": (b'{"object": "error", "message": "x", "code": 400}', Reason.REQUEST_REFUSED),
    "beside an empty answer": (completion("", error={"code": 502}), Reason.PROVIDER_UNAVAILABLE),
    "stopped for an unsafe picture": (
        completion("", choice={"finish_reason": "IMAGE_SAFETY"}),
        Reason.CONTENT_REFUSED,
    ),
    "a refusal in parts": (
        completion([{"type": "refusal", "refusal": "no"}]),
        Reason.CONTENT_REFUSED,
    ),
    "a status with a decimal point": (
        failure({"code": 429.0, "message": "x"}),
        Reason.RATE_LIMITED,
    ),
    "a status beside text": (b'{"status": 429, "error": "Too Many Requests"}', Reason.RATE_LIMITED),
    "a list of errors": (
        b'{"success": false, "errors": [{"code": 401, "message": "x"}]}',
        Reason.CREDENTIALS_REFUSED,
    ),
    "a detail": (b'{"detail": "Unauthorized"}', Reason.CREDENTIALS_REFUSED),
    "details of an invalid request": (
        b'{"detail": [{"loc": ["body"], "msg": "x"}], "code": 422}',
        Reason.REQUEST_REFUSED,
    ),
    "Google's code": (
        failure({"status": "RESOURCE_EXHAUSTED", "message": "x"}),
        Reason.RATE_LIMITED,
    ),
    "in Anthropic's format": (
        b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}',
        Reason.PROVIDER_UNAVAILABLE,
    ),
    "a used-up budget": (
        failure({"type": "budget_exceeded", "code": "400", "message": "x"}),
        Reason.QUOTA_EXHAUSTED,
    ),
    "flagged, according to the metadata": (
        failure({"code": 403, "message": "x", "metadata": {"reasons": ["violence"]}}),
        Reason.CONTENT_REFUSED,
    ),
    "a message about a rate limit": (
        failure("Rate limit reached for requests"),
        Reason.RATE_LIMITED,
    ),
    "a message about a key": (failure("Incorrect API key provided"), Reason.CREDENTIALS_REFUSED),
    "a message about a model": (
        failure("model 'x' not found, try pulling it first"),
        Reason.MODEL_NOT_FOUND,
    ),
    "a message about a quota": (
        failure({"message": "You exceeded your current quota"}),
        Reason.QUOTA_EXHAUSTED,
    ),
    "a message about a filter": (failure("blocked by the content filter"), Reason.CONTENT_REFUSED),
    "no such page": (
        failure("Unexpected endpoint or method. (POST /chat/completions)"),
        Reason.OPTIONS_INVALID,
    ),
    "no such page, with a code": (
        failure({"code": 404, "message": "Not Found"}),
        Reason.OPTIONS_INVALID,
    ),
    "codes that are objects": (
        failure({"code": {}, "type": [1], "message": {"a": 1}}),
        Reason.PROVIDER_UNAVAILABLE,
    ),
    "no choices": (b'{"choices": null}', Reason.EMPTY_ANSWER),
    "stopped because of an error": (
        completion("", choice={"finish_reason": "error"}),
        Reason.PROVIDER_UNAVAILABLE,
    ),
    "stopped for safety, according to the native finish reason": (
        completion("", choice={"finish_reason": "error", "native_finish_reason": "SAFETY"}),
        Reason.CONTENT_REFUSED,
    ),
    "stopped by a named filter": (
        completion(None, choice={"finish_reason": "content_filter: PROHIBITED_CONTENT"}),
        Reason.CONTENT_REFUSED,
    ),
    "cut off by an error": (
        completion("A ca", choice={"finish_reason": "error"}),
        Reason.EMPTY_ANSWER,
    ),
    "an unknown message": (failure("something went wrong"), Reason.PROVIDER_UNAVAILABLE),
    "with empty choices": (failure({"code": 429}, choices=[]), Reason.RATE_LIMITED),
    "in the choice": (
        completion("", choice={"error": {"code": 429, "message": "slow down"}}),
        Reason.RATE_LIMITED,
    ),
    "in the choice, without a message": (
        json.dumps({"choices": [{"finish_reason": "error", "error": {"code": 503}}]}).encode(),
        Reason.PROVIDER_UNAVAILABLE,
    ),
    "stopped for safety": (
        completion("", choice={"finish_reason": "SAFETY"}),
        Reason.CONTENT_REFUSED,
    ),
    "cut off at the token limit": (
        completion("A ca", choice={"finish_reason": "MAX_TOKENS"}),
        Reason.EMPTY_ANSWER,
    ),
}


# The Responses API has no choices.
CHAT_ONLY = (b'"choices": [{', b'"choices": null')
IN_BOTH_APIS = [
    name for name, (body, _) in ERRORS.items() if not any(words in body for words in CHAT_ONLY)
]


@pytest.mark.parametrize(
    ("api", "name"),
    [*(("chat", name) for name in ERRORS), *(("responses", name) for name in IN_BOTH_APIS)],
)
def test_error_in_an_answer_is_reported_with_its_reason(name: str, api: Any) -> None:
    body, reason = ERRORS[name]
    with pytest.raises(DescribeError) as caught:
        read_reply(api, body)
    assert caught.value.reason is reason
    assert "None" not in caught.value.message


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (
            {
                "code": 429,
                "details": [
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
                ],
            },
            34,
        ),
        ({"code": 429, "metadata": {"headers": {"Retry-After": "7"}}}, 7),
        ({"code": 429, "metadata": {"headers": {"X-RateLimit-Reset": "9999999999999"}}}, 3600),
        ({"code": 429, "metadata": {"headers": {"X-RateLimit-Reset": "12"}}}, None),
        ({"code": 429, "details": [{"retryDelay": {}}], "metadata": [1]}, None),
        # The wait is ignored, because this error is final.
        ({"code": 400, "details": [{"retryDelay": "34s"}]}, None),
    ],
)
def test_requested_wait_is_read_from_an_error_in_an_answer(
    error: dict[str, Any], seconds: float | None
) -> None:
    with pytest.raises(DescribeError) as caught:
        read_reply("chat", failure(error))
    assert caught.value.retry_after == seconds


def test_key_is_not_quoted_from_an_error_in_an_answer() -> None:
    context = RequestContext("h", "m", "hunter2-secret")
    for code in (400, 401, 500):
        with pytest.raises(DescribeError) as caught:
            read_reply(
                "chat", failure({"code": code, "message": "key hunter2-secret is bad"}), context
            )
        assert "hunter2" not in caught.value.message
