"""Tests of responses that a server streams even though the client did not request streaming."""

import json
from typing import Any

import pytest
from openai_bodies import responses
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers.providers.openai.reply import read_reply


def stream(*events: object, end: str = "data: [DONE]\n\n") -> bytes:
    return ("".join(f"data: {json.dumps(event)}\n\n" for event in events) + end).encode()


def delta(content: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"delta": {"content": content}, **more}]}


STREAMS: dict[str, tuple[Any, bytes]] = {
    "chunks": ("chat", stream(delta("A "), delta("cat."), delta(finish_reason="stop"))),
    "chunks without a finish reason": ("chat", stream(delta("A "), delta("cat."))),
    "comments and named events": (
        "chat",
        b": OPENROUTER PROCESSING\n\nevent: chunk\n"
        + stream(delta("A cat.", finish_reason="stop")),
    ),
    "carriage returns": ("chat", stream(delta("A cat.")).replace(b"\n", b"\r\n")),
    "a chunk that contains only the usage": (
        "chat",
        stream(delta("A cat."), {"choices": [], "usage": {"prompt_tokens": 5}}),
    ),
    "thoughts in a separate field": (
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
def test_unrequested_stream_is_read(name: str) -> None:
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
    "no end mark": ("chat", stream(delta("A cat sle"), end=""), Reason.EMPTY_ANSWER),
    "the token limit": (
        "chat",
        stream(delta("A ca"), delta(finish_reason="length")),
        Reason.EMPTY_ANSWER,
    ),
    "no text": ("chat", stream(delta(finish_reason="stop")), Reason.EMPTY_ANSWER),
}


@pytest.mark.parametrize("name", BROKEN_STREAMS)
def test_incomplete_or_failed_stream_is_an_error(name: str) -> None:
    api, body, reason = BROKEN_STREAMS[name]
    with pytest.raises(DescribeError) as caught:
        read_reply(api, body)
    assert caught.value.reason is reason
