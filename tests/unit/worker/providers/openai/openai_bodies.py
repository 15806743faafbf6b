"""Build response bodies for OpenAI's two APIs."""

import json
from typing import Any


def completion(content: object, **more: Any) -> bytes:
    choice = {"message": {"content": content}, "finish_reason": "stop", **more.pop("choice", {})}
    return json.dumps({"model": "m", "choices": [choice], **more}).encode()


def responses(output: list[Any], **more: Any) -> bytes:
    return json.dumps({"model": "m", "status": "completed", "output": output, **more}).encode()


def failure(error: object, **more: Any) -> bytes:
    return json.dumps({"error": error, **more}).encode()
