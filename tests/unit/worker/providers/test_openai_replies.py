"""Answers of servers that speak OpenAI's protocol in their own way: odd types, errors in a 200, streams."""

import json
from typing import Any

import pytest
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers.providers.openai.errors import RequestContext
from vision_node_describer.describers.providers.openai.reply import Reply, read_reply

SHORT = '{"description": "A cat."}'


def completion(content: object, **more: Any) -> bytes:
    choice = {"message": {"content": content}, "finish_reason": "stop", **more.pop("choice", {})}
    return json.dumps({"model": "m", "choices": [choice], **more}).encode()


def responses(output: list[Any], **more: Any) -> bytes:
    return json.dumps({"model": "m", "status": "completed", "output": output, **more}).encode()


ODD_REPLIES: dict[str, tuple[bytes, str, str | None]] = {
    "parts": (
        completion([{"type": "text", "text": "A "}, {"type": "text", "text": "cat."}]),
        "A cat.",
        "m",
    ),
    "strings as parts": (completion(["A ", "cat."]), "A cat.", "m"),
    "parts of thoughts": (
        completion(
            [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "A cat."}]
        ),
        "A cat.",
        "m",
    ),
    "parts of reasoning with text": (
        completion(
            [{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "A cat."}]
        ),
        "A cat.",
        "m",
    ),
    "no model": (completion("A cat.", model=None), "A cat.", None),
    "no usage": (completion("A cat.", usage=None), "A cat.", "m"),
    "usage in words": (completion("A cat.", usage={"prompt_tokens": "many"}), "A cat.", "m"),
    "usage as a list": (completion("A cat.", usage=[1]), "A cat.", "m"),
    "an error that is null": (completion("A cat.", error=None), "A cat.", "m"),
    "a refusal that is false": (
        completion("", choice={"message": {"content": "A cat.", "refusal": False}}),
        "A cat.",
        "m",
    ),
    "a refusal that is an object": (
        completion("", choice={"message": {"content": "A cat.", "refusal": {}}}),
        "A cat.",
        "m",
    ),
    "a finish reason in numbers": (
        completion("A cat.", choice={"finish_reason": 1}),
        "A cat.",
        "m",
    ),
    "a model in numbers": (completion("A cat.", model=7), "A cat.", None),
    "usage beyond what a status holds": (
        completion("A cat.", usage={"prompt_tokens": 1 << 80}),
        "A cat.",
        "m",
    ),
    "one choice without a list": (
        json.dumps({"choices": {"message": {"content": "A cat."}}}).encode(),
        "A cat.",
        None,
    ),
    "one part without a list": (completion({"type": "text", "text": "A cat."}), "A cat.", "m"),
    "a part whose text is an object": (
        completion([{"type": "text", "text": {"value": "A cat."}}]),
        "A cat.",
        "m",
    ),
    "a part that is a thought by a mark": (
        completion([{"text": "hm", "thought": True}, {"text": "A cat."}]),
        "A cat.",
        "m",
    ),
    "a part that is null": (completion([None, {"type": "text", "text": "A cat."}]), "A cat.", "m"),
    "an object that the server decoded": (completion({"description": "A cat."}), SHORT, "m"),
    "the arguments of a function": (
        completion(None, choice={"message": {"tool_calls": [{"function": {"arguments": SHORT}}]}}),
        SHORT,
        "m",
    ),
    "all of it among the thoughts": (
        completion(None, choice={"message": {"content": "", "reasoning_content": SHORT}}),
        SHORT,
        "m",
    ),
    "text of a completion without messages": (
        json.dumps({"choices": [{"text": "A cat."}]}).encode(),
        "A cat.",
        None,
    ),
    "a whole object at the limit": (
        completion(f"{SHORT}\n\n\n", choice={"finish_reason": "length"}),
        f"{SHORT}\n\n\n",
        "m",
    ),
    "no finish reason": (completion("A cat.", choice={"finish_reason": None}), "A cat.", "m"),
    "further fields": (
        completion("A cat.", choice={"logprobs": 1, "index": "x"}, id=7),
        "A cat.",
        "m",
    ),
}


RESPONSES: dict[str, bytes] = {
    "text of another type": responses(
        [{"type": "message", "content": [{"type": "text", "text": "A cat."}]}]
    ),
    "content as text": responses([{"type": "message", "content": "A cat."}]),
    "thoughts with text": responses(
        [
            {"type": "reasoning", "content": [{"type": "output_text", "text": "hm"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "A cat."}]},
        ]
    ),
    "a comment on the work": responses(
        [
            {"phase": "commentary", "content": [{"type": "output_text", "text": "Let me look."}]},
            {"phase": "final_answer", "content": [{"type": "output_text", "text": "A cat."}]},
        ]
    ),
    "details that are text": responses([{"content": "A cat."}], incomplete_details="none"),
    "an item that is null": responses([None, {"content": "A cat."}]),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_odd_responses_are_read(name: str) -> None:
    assert read_reply("responses", RESPONSES[name]).text == "A cat."


@pytest.mark.parametrize("name", ODD_REPLIES)
def test_odd_replies_are_read(name: str) -> None:
    body, text, model = ODD_REPLIES[name]
    reply = read_reply("chat", body)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.model) == (text, model)


def failure(error: object, **more: Any) -> bytes:
    return json.dumps({"error": error, **more}).encode()


IN_ANSWER: dict[str, tuple[bytes, Reason]] = {
    "rate limited": (failure({"code": 429, "message": "Rate limit exceeded"}), Reason.RATE_LIMITED),
    "rate limited, as text": (
        failure({"code": "429", "message": "slow down"}),
        Reason.RATE_LIMITED,
    ),
    "rate limited, by word": (failure({"code": "rate_limit_exceeded"}), Reason.RATE_LIMITED),
    "wrong key": (
        failure({"code": 401, "message": "No auth credentials found"}),
        Reason.CREDENTIALS_REFUSED,
    ),
    "wrong key, by type": (failure({"type": "authentication_error"}), Reason.CREDENTIALS_REFUSED),
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
    "many too many": (failure({"code": 429.0, "message": "x"}), Reason.RATE_LIMITED),
    "a status beside text": (b'{"status": 429, "error": "Too Many Requests"}', Reason.RATE_LIMITED),
    "a list of errors": (
        b'{"success": false, "errors": [{"code": 401, "message": "x"}]}',
        Reason.CREDENTIALS_REFUSED,
    ),
    "a detail": (b'{"detail": "Unauthorized"}', Reason.CREDENTIALS_REFUSED),
    "details of a request": (
        b'{"detail": [{"loc": ["body"], "msg": "x"}], "code": 422}',
        Reason.REQUEST_REFUSED,
    ),
    "Google's words": (
        failure({"status": "RESOURCE_EXHAUSTED", "message": "x"}),
        Reason.RATE_LIMITED,
    ),
    "in Anthropic's frame": (
        b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}',
        Reason.PROVIDER_UNAVAILABLE,
    ),
    "a budget": (
        failure({"type": "budget_exceeded", "code": "400", "message": "x"}),
        Reason.QUOTA_EXHAUSTED,
    ),
    "flagged, by its metadata": (
        failure({"code": 403, "message": "x", "metadata": {"reasons": ["violence"]}}),
        Reason.CONTENT_REFUSED,
    ),
    "words of a rate limit": (failure("Rate limit reached for requests"), Reason.RATE_LIMITED),
    "words of a key": (failure("Incorrect API key provided"), Reason.CREDENTIALS_REFUSED),
    "words of a model": (
        failure("model 'x' not found, try pulling it first"),
        Reason.MODEL_NOT_FOUND,
    ),
    "words of a quota": (
        failure({"message": "You exceeded your current quota"}),
        Reason.QUOTA_EXHAUSTED,
    ),
    "words of a filter": (failure("blocked by the content filter"), Reason.CONTENT_REFUSED),
    "no such page": (
        failure("Unexpected endpoint or method. (POST /chat/completions)"),
        Reason.OPTIONS_INVALID,
    ),
    "no such page, by a code": (
        failure({"code": 404, "message": "Not Found"}),
        Reason.OPTIONS_INVALID,
    ),
    "codes that are objects": (
        failure({"code": {}, "type": [1], "message": {"a": 1}}),
        Reason.PROVIDER_UNAVAILABLE,
    ),
    "no choices": (b'{"choices": null}', Reason.EMPTY_ANSWER),
    "stopped for an error": (
        completion("", choice={"finish_reason": "error"}),
        Reason.PROVIDER_UNAVAILABLE,
    ),
    "stopped for safety, says who is behind": (
        completion("", choice={"finish_reason": "error", "native_finish_reason": "SAFETY"}),
        Reason.CONTENT_REFUSED,
    ),
    "stopped by a filter that names itself": (
        completion(None, choice={"finish_reason": "content_filter: PROHIBITED_CONTENT"}),
        Reason.CONTENT_REFUSED,
    ),
    "broken off": (completion("A ca", choice={"finish_reason": "error"}), Reason.EMPTY_ANSWER),
    "a word": (failure("something went wrong"), Reason.PROVIDER_UNAVAILABLE),
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
    "too long": (completion("A ca", choice={"finish_reason": "MAX_TOKENS"}), Reason.EMPTY_ANSWER),
}


# The Responses API has no choices.
OF_CHAT = (b'"choices": [{', b'"choices": null')
OF_BOTH = [
    name for name, (body, _) in IN_ANSWER.items() if not any(words in body for words in OF_CHAT)
]


@pytest.mark.parametrize(
    ("api", "name"),
    [*(("chat", name) for name in IN_ANSWER), *(("responses", name) for name in OF_BOTH)],
)
def test_an_error_in_an_answer_is_what_it_is(name: str, api: Any) -> None:
    body, reason = IN_ANSWER[name]
    with pytest.raises(DescribeError) as caught:
        read_reply(api, body)
    assert caught.value.reason is reason
    assert "None" not in caught.value.message


@pytest.mark.parametrize(
    ("failed", "seconds"),
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
        (
            {"code": 400, "details": [{"retryDelay": "34s"}]},
            None,
        ),  # final, so nothing is waited for
    ],
)
def test_a_wait_may_stand_in_the_body(failed: dict[str, Any], seconds: float | None) -> None:
    with pytest.raises(DescribeError) as caught:
        read_reply("chat", failure(failed))
    assert caught.value.retry_after == seconds


def test_a_key_is_not_quoted_from_an_answer() -> None:
    asked = RequestContext("h", "m", "hunter2-secret")
    for code in (400, 401, 500):
        with pytest.raises(DescribeError) as caught:
            read_reply(
                "chat", failure({"code": code, "message": "key hunter2-secret is bad"}), asked
            )
        assert "hunter2" not in caught.value.message


NO_PROTOCOL = [
    b"",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"{}",
    b'{"id": 1}',
    b"<html></html>",
    b'{"choices',
    b"data: x\n\n",
]


@pytest.mark.parametrize("body", NO_PROTOCOL)
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_what_is_not_of_the_protocol_says_so(api: Any, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_reply(api, body)


def stream(*events: object, end: str = "data: [DONE]\n\n") -> bytes:
    return ("".join(f"data: {json.dumps(event)}\n\n" for event in events) + end).encode()


def delta(content: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"delta": {"content": content}, **more}]}


STREAMS: dict[str, tuple[Any, bytes]] = {
    "chunks": ("chat", stream(delta("A "), delta("cat."), delta(finish_reason="stop"))),
    "chunks without a finish reason": ("chat", stream(delta("A "), delta("cat."))),
    "comments, and events with names": (
        "chat",
        b": OPENROUTER PROCESSING\n\nevent: chunk\n"
        + stream(delta("A cat.", finish_reason="stop")),
    ),
    "carriage returns": ("chat", stream(delta("A cat.")).replace(b"\n", b"\r\n")),
    "a chunk with usage alone": (
        "chat",
        stream(delta("A cat."), {"choices": [], "usage": {"prompt_tokens": 5}}),
    ),
    "thoughts apart": (
        "chat",
        stream(
            {"choices": [{"delta": {"reasoning_content": "hm"}}]},
            delta("A cat.", finish_reason="stop"),
        ),
    ),
    "a response's events": (
        "responses",
        stream(
            {"type": "response.created", "response": {"status": "in_progress", "output": []}},
            {"type": "response.output_text.delta", "delta": "A"},
            {
                "type": "response.completed",
                "response": json.loads(responses([{"content": "A cat."}])),
            },
            end="",
        ),
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_was_not_asked_for_is_read(name: str) -> None:
    api, body = STREAMS[name]
    assert read_reply(api, body).text == "A cat."


BROKEN_STREAMS: dict[str, tuple[Any, bytes, Reason]] = {
    "an error": (
        "chat",
        stream(delta("A"), {"error": {"code": 429, "message": "x"}}),
        Reason.RATE_LIMITED,
    ),
    "an error as an event": (
        "responses",
        stream({"type": "error", "code": "rate_limit_exceeded", "message": "x"}, end=""),
        Reason.RATE_LIMITED,
    ),
    "no end": ("chat", stream(delta("A cat sle"), end=""), Reason.EMPTY_ANSWER),
    "the limit": (
        "chat",
        stream(delta("A ca"), delta(finish_reason="length")),
        Reason.EMPTY_ANSWER,
    ),
    "nothing": ("chat", stream(delta(finish_reason="stop")), Reason.EMPTY_ANSWER),
}


@pytest.mark.parametrize("name", BROKEN_STREAMS)
def test_a_stream_that_is_not_whole_is_no_answer(name: str) -> None:
    api, body, reason = BROKEN_STREAMS[name]
    with pytest.raises(DescribeError) as caught:
        read_reply(api, body)
    assert caught.value.reason is reason
