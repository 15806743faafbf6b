"""Read answers from event streams, which some gateways send without being asked to."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

JsonObject = dict[str, Any]

_MAX_EVENTS = 100_000
"""Maximum number of events that are read. A stream has about one event for each token, and an
answer has at most 16,384 tokens by default."""

UNFINISHED = "unfinished stream"
"""Finish reason of a stream that has neither a finish reason nor an end mark."""

_END_BYTES = 64
"""Number of bytes at the end of a stream in which to look for the end mark."""


def is_event_stream(body: bytes) -> bool:
    """Return whether a body is a stream of events (WHATWG HTML, 9.2, Server-sent events)."""
    return body.lstrip().startswith((b"data:", b"event:", b": "))


def assemble_answer(body: bytes) -> JsonObject | None:
    """Return the answer as if it had not been streamed; None if the stream contains no answer."""
    events = list(_events(body))
    for event in events:
        if event.get("error"):
            return event
        if event.get("type") == "error":
            return {"error": event}
        if isinstance(event.get("response"), dict) and event.get("type") != "response.created":
            response: JsonObject = event["response"]
            if response.get("status") not in ("queued", "in_progress"):
                return response

    chunks = [event for event in events if isinstance(event.get("choices"), list)]
    if not chunks:
        return None

    has_end_mark = b"[DONE]" in body[-_END_BYTES:]
    return _completion(chunks, default_finish_reason=None if has_end_mark else UNFINISHED)


def _events(body: bytes) -> Iterator[JsonObject]:
    """Yield the objects in a stream's data lines. In OpenAI's protocols, each event is one line."""
    for line in body.splitlines()[: 3 * _MAX_EVENTS]:
        name, _, value = line.partition(b":")
        if name != b"data" or value.strip() == b"[DONE]":
            continue

        try:
            event = from_json(value)
        except ValueError:
            continue

        if isinstance(event, dict):
            yield event


def _completion(chunks: list[JsonObject], *, default_finish_reason: str | None) -> JsonObject:
    """Assemble a chat completion from its chunks (OpenAI, The chat completion chunk object).

    Args:
        chunks: The chunks in order.
        default_finish_reason: The finish reason to use if no chunk has one.
    """
    choices = [
        choice for chunk in chunks for choice in chunk["choices"][:1] if isinstance(choice, dict)
    ]
    deltas = [
        part
        for choice in choices
        if isinstance(part := choice.get("delta") or choice.get("message"), dict)
    ]
    message = {name: _join(deltas, name) for name in ("content", "refusal", "reasoning_content")}
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    finish_reason = reasons[-1] if reasons else default_finish_reason

    return {
        "model": next((chunk["model"] for chunk in chunks if chunk.get("model")), None),
        "choices": [{"message": message, "finish_reason": finish_reason}],
        "usage": next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None),
    }


def _join(deltas: list[JsonObject], name: str) -> str | None:
    return "".join(part for delta in deltas if isinstance(part := delta.get(name), str)) or None
