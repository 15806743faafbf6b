"""Tests of answers that deviate from OpenAI's protocol, for example in the types of fields."""

import json
from typing import Any

import pytest
from openai_bodies import completion, responses
from vision_node_describer.describers.providers.openai.reply import Reply, read_reply

SHORT = '{"description": "A cat."}'


COMPLETIONS: dict[str, tuple[bytes, str, str | None]] = {
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
    "usage that is not a number": (
        completion("A cat.", usage={"prompt_tokens": "many"}),
        "A cat.",
        "m",
    ),
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
    "a finish reason that is a number": (
        completion("A cat.", choice={"finish_reason": 1}),
        "A cat.",
        "m",
    ),
    "a model that is a number": (completion("A cat.", model=7), "A cat.", None),
    "usage too large for an ImageJob's status": (
        completion("A cat.", usage={"prompt_tokens": 1 << 80}),
        "A cat.",
        "m",
    ),
    "one choice instead of a list": (
        json.dumps({"choices": {"message": {"content": "A cat."}}}).encode(),
        "A cat.",
        None,
    ),
    "one part instead of a list": (completion({"type": "text", "text": "A cat."}), "A cat.", "m"),
    "a part whose text is an object": (
        completion([{"type": "text", "text": {"value": "A cat."}}]),
        "A cat.",
        "m",
    ),
    "a part that is marked as a thought": (
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
    "the whole answer in the reasoning field": (
        completion(None, choice={"message": {"content": "", "reasoning_content": SHORT}}),
        SHORT,
        "m",
    ),
    "text instead of a message": (
        json.dumps({"choices": [{"text": "A cat."}]}).encode(),
        "A cat.",
        None,
    ),
    "a complete object at the token limit": (
        completion(f"{SHORT}\n\n\n", choice={"finish_reason": "length"}),
        f"{SHORT}\n\n\n",
        "m",
    ),
    "no finish reason": (completion("A cat.", choice={"finish_reason": None}), "A cat.", "m"),
    "unexpected fields": (
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
    "a commentary before the answer": responses(
        [
            {"phase": "commentary", "content": [{"type": "output_text", "text": "Let me look."}]},
            {"phase": "final_answer", "content": [{"type": "output_text", "text": "A cat."}]},
        ]
    ),
    "details that are text": responses([{"content": "A cat."}], incomplete_details="none"),
    "an item that is null": responses([None, {"content": "A cat."}]),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_responses_with_unusual_fields_are_read(name: str) -> None:
    assert read_reply("responses", RESPONSES[name]).text == "A cat."


@pytest.mark.parametrize("name", COMPLETIONS)
def test_completions_with_unusual_fields_are_read(name: str) -> None:
    body, text, model = COMPLETIONS[name]
    reply = read_reply("chat", body)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.model) == (text, model)


INVALID_BODIES = [
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


@pytest.mark.parametrize("body", INVALID_BODIES)
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_body_that_violates_the_protocol_is_rejected(api: Any, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_reply(api, body)
