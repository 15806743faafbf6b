"""Reads an answer that comes as a stream of events though none was asked for: some gateways do."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

Object = dict[str, Any]

_MAX_EVENTS = 100_000
"""An answer of 16,384 tokens has one for each."""

UNFINISHED = "unfinished stream"
"""The finish reason of a stream that has neither one nor the mark of its end."""

_END_BYTES = 64


def is_stream(body: bytes) -> bool:
    """Return whether a body is a stream of events (WHATWG HTML, 9.2, Server-sent events)."""
    return body.lstrip().startswith((b"data:", b"event:", b": "))


def whole_answer(body: bytes) -> Object | None:
    """Return the answer whose parts a stream holds, as it would have come in one; None if there is none."""
    events = list(_events(body))
    for event in events:
        if event.get("error"):
            return event
        if event.get("type") == "error":
            return {"error": event}
        if isinstance(event.get("response"), dict) and event.get("type") != "response.created":
            finished: Object = event["response"]
            if finished.get("status") not in ("queued", "in_progress"):
                return finished

    chunks = [event for event in events if isinstance(event.get("choices"), list)]
    return (
        _completion(chunks, UNFINISHED if b"[DONE]" not in body[-_END_BYTES:] else None)
        if chunks
        else None
    )


def _events(body: bytes) -> Iterator[Object]:
    """Yield the objects in a stream's data lines; each of these protocols' events has one."""
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


def _completion(chunks: list[Object], without_end: str | None) -> Object:
    """Return a chat completion of its chunks (OpenAI, The chat completion chunk object).

    Args:
        chunks: In their order.
        without_end: The finish reason where no chunk has one.
    """
    choices = [
        choice for chunk in chunks for choice in chunk["choices"][:1] if isinstance(choice, dict)
    ]
    deltas = [
        part
        for choice in choices
        if isinstance(part := choice.get("delta") or choice.get("message"), dict)
    ]
    message = {name: _joined(deltas, name) for name in ("content", "refusal", "reasoning_content")}
    ends = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]

    return {
        "model": next((chunk["model"] for chunk in chunks if chunk.get("model")), None),
        "choices": [{"message": message, "finish_reason": ends[-1] if ends else without_end}],
        "usage": next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None),
    }


def _joined(deltas: list[Object], name: str) -> str | None:
    return "".join(part for delta in deltas if isinstance(part := delta.get(name), str)) or None
