"""A fake OpenAI server with the Responses API and the Chat Completions API.

It checks requests strictly and can return scripted faults. To serve it in a cluster, run
`python -m fakes.openai --port 8080` in any image that contains starlette and uvicorn.

    PUT    /admin/script    set the script: {"next": [fault, …], "always": fault}. Each fault is a
                            name in FAULTS, or {"fault": name, "after": seconds, …} with parameters
    GET    /admin/requests  return the recorded requests. Each record contains the path, whether the
                            key was correct, the body and the time
    DELETE /admin/requests  return the recorded requests and delete them
"""

import argparse
import asyncio
import base64
import json
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "sk-right-0123456789abcdefghij"
"""The only key that the server accepts."""

MODELS = ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", "o4-mini", "gpt-5-mini", "llava")

ANSWER = {
    "description": "A red square stands on the left, a blue one on the right.",
    "alt": "A red and a blue square side by side",
    "caption": "Two squares.",
    "tags": ["squares", "red", "blue"],
    "text": "",
    "language": "en",
}

Json = dict[str, Any]
Fault = Callable[[Json], Response]


def error(
    status: int, message: str, *, code: str | None = None, param: str | None = None, **headers: str
) -> Response:
    """Return an error in OpenAI's format (platform.openai.com/docs/guides/error-codes)."""
    kind = "insufficient_quota" if code == "insufficient_quota" else "invalid_request_error"
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(
        body, status, {name.replace("_", "-"): value for name, value in headers.items()}
    )


def success(
    body: Json,
    text: str | None,
    *,
    finish: str = "stop",
    refusal: str | None = None,
    **headers: str,
) -> Response:
    """Return a complete answer in the format of the API to which `body` was sent."""
    build = _response if "input" in body else _completion
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse(build(body["model"], text, finish, refusal), headers=named)


_RESPONSE_USAGE = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 90,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 1090,
}


def _response(model: str, text: str | None, finish: str, refusal: str | None) -> Json:
    content: list[Json] = []
    if refusal:
        content = [{"type": "refusal", "refusal": refusal}]
    elif text is not None:
        content = [{"type": "output_text", "text": text, "annotations": []}]

    incomplete = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish)
    message = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }

    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1.0,
        "status": "incomplete" if incomplete else "completed",
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "error": None,
        "model": model,
        "output": [{"type": "reasoning", "id": "rs_1", "summary": []}, message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _RESPONSE_USAGE,
    }


def _completion(model: str, text: str | None, finish: str, refusal: str | None) -> Json:
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 90, "total_tokens": 1090},
    }


def _rate_limited(body: Json, retry_after: str | None = "1", **headers: str) -> Response:
    wait = {"retry_after": retry_after} if retry_after else {}
    return error(
        429, "Rate limit reached for requests", code="rate_limit_exceeded", **wait, **headers
    )


def _quoted_key(body: Json) -> Response:
    return error(500, f"internal: Authorization: Bearer {KEY} could not be forwarded")


def _truncated(body: Json) -> Response:
    whole = success(body, json.dumps(ANSWER)).body
    return Response(bytes(whole)[: len(whole) // 2], media_type="application/json")


FAULTS: dict[str, Callable[..., Response]] = {
    "none": lambda body: success(body, json.dumps(ANSWER)),
    "says": success,
    "rate_limited": _rate_limited,
    "quota": lambda body: error(429, "You exceeded your current quota", code="insufficient_quota"),
    "server_error": lambda body: error(500, "The server had an error"),
    "overloaded": lambda body: error(503, "Slow down", retry_after="3"),
    "quotes_key": _quoted_key,
    "forbidden": lambda body: error(403, "You are not allowed to sample from this model"),
    "retired": lambda body: error(
        404,
        f"The model `{body['model']}` has been deprecated",
        code="model_not_found",
        param="model",
    ),
    "filtered_request": lambda body: error(400, "The response was filtered", code="content_filter"),
    "filtered_answer": lambda body: success(body, "", finish="content_filter"),
    "refusal": lambda body: success(body, None, refusal="I'm sorry, I can't help with that."),
    "empty": lambda body: success(body, ""),
    "cut": lambda body: success(body, '{"description": "A red', finish="length"),
    "half_json": lambda body: success(body, '{"description": "A red'),
    "truncated_body": _truncated,
    "html": lambda body: Response("<html>Log in to the Wi-Fi</html>", media_type="text/html"),
    "plain": lambda body: success(body, "Two squares, red and blue. They touch."),
    "fenced": lambda body: success(body, f"Here it is:\n```json\n{json.dumps(ANSWER)}\n```"),
    "no_schema": lambda body: (
        error(400, "response_format is not supported by this model")
        if "response_format" in body
        else error(400, "Unsupported parameter", param="text.format")
        if "text" in body
        else success(body, "Two squares.")
    ),
    "unknown_store": lambda body: (
        error(400, "Unknown parameter: 'store'.", param="store", code="unknown_parameter")
        if "store" in body
        else success(body, json.dumps(ANSWER))
    ),
    "deprecated": lambda body: success(
        body, json.dumps(ANSWER), deprecation="@1767225600", sunset="Thu, 14 Jan 2027 00:00:00 GMT"
    ),
    "moved": lambda body: Response(
        status_code=307, headers={"location": "http://127.0.0.1:1/elsewhere"}
    ),
}
"""Functions that create a response, by fault name. A script can set their parameters."""


class FakeOpenAI:
    """The fake server's state and its ASGI application."""

    def __init__(self) -> None:
        self.next: deque[Any] = deque()
        self.always: Any = "none"
        self.requests: list[Json] = []
        self.app = Starlette(
            routes=[
                Route("/v1/responses", self._answer, methods=["POST"]),
                Route("/v1/chat/completions", self._answer, methods=["POST"]),
                Route("/admin/script", self._set_script, methods=["PUT"]),
                Route("/admin/requests", self._get_requests, methods=["GET", "DELETE"]),
            ]
        )

    async def _answer(self, request: Request) -> Response:
        body = await request.json()
        right_key = request.headers.get("authorization") == f"Bearer {KEY}"
        record = {"path": request.url.path, "rightKey": right_key, "body": body, "at": time.time()}
        self.requests.append(record)

        fault = self.next.popleft() if self.next else self.always
        parameters = {"fault": fault} if isinstance(fault, str) else dict(fault)
        name = parameters.pop("fault")
        await asyncio.sleep(parameters.pop("after", 0))

        rejection = reject(request.url.path, body, right_key=right_key)
        return rejection or FAULTS[name](body, **parameters)

    async def _set_script(self, request: Request) -> Response:
        script = await request.json()
        self.next = deque(script.get("next", []))
        self.always = script.get("always", "none")
        return Response(status_code=204)

    async def _get_requests(self, request: Request) -> Response:
        records = list(self.requests)
        if request.method == "DELETE":
            self.requests.clear()
        return JSONResponse(records)


def reject(path: str, body: Json, *, right_key: bool) -> Response | None:
    """Return the error that OpenAI sends for an invalid request, or None for a valid request."""
    if not right_key:
        message = "Incorrect API key provided: sk-wr***************gs. You can find your API key at https://…"
        return error(401, message, code="invalid_api_key")
    if body.get("model") not in MODELS:
        message = f"The model `{body.get('model')}` does not exist or you do not have access to it."
        return error(404, message, code="model_not_found")

    reasoning = str(body["model"]).startswith(("o", "gpt-5"))
    for field in {"temperature", "top_p", "max_tokens"} & body.keys() if reasoning else ():
        message = f"Unsupported parameter: '{field}' is not supported with this model."
        return error(400, message, param=field, code="unsupported_parameter")

    schema = (
        body["text"]["format"]
        if "text" in body
        else body.get("response_format", {}).get("json_schema")
    )

    if schema and not _is_strict(schema):
        return error(
            400,
            "Invalid schema: in strict mode all properties are required",
            param="text.format.schema",
        )

    return (
        None
        if _has_picture(path, body)
        else error(400, "You uploaded an unsupported image", code="invalid_image")
    )


def _is_strict(schema: Json) -> bool:
    inner = schema["schema"]
    return (
        schema["strict"] is True
        and inner["additionalProperties"] is False
        and set(inner["required"]) == set(inner["properties"])
    )


def _has_picture(path: str, body: Json) -> bool:
    """Return whether a request contains exactly one picture, as a data URL that can be decoded."""
    messages = body["input" if path.endswith("responses") else "messages"]
    contents = [message["content"] for message in messages if isinstance(message["content"], list)]
    parts = [part for content in contents for part in content]
    urls = [part["image_url"] for part in parts if "image_url" in part]
    urls = [url if isinstance(url, str) else url["url"] for url in urls]
    matches = [re.fullmatch(r"data:image/(?:jpeg|png);base64,(.+)", url) for url in urls]

    return (
        len(matches) == 1
        and matches[0] is not None
        and bool(base64.b64decode(matches[0][1], validate=True))
    )


def main() -> None:
    """Run the server until it is stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    uvicorn.run(FakeOpenAI().app, host="0.0.0.0", port=parser.parse_args().port)  # noqa: S104  # in a pod


if __name__ == "__main__":
    main()
