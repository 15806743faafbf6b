"""Errors as problem documents (RFC 9457), each with the reason that a program can act upon."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

MEDIA_TYPE = "application/problem+json"

REASON = "vision_node.reason"
"""Key of the scope under which an answered problem leaves its reason, for metrics."""

_URI_CHARACTERS = "/:@!$&'()*+,;=~"
"""What a path may hold as it is (RFC 3986, section 3.3), besides letters, digits and `-._`."""


class Problem(Exception):  # noqa: N818 (RFC 9457's word)
    """A refusal.

    Args:
        status: HTTP status code.
        reason: CamelCase word, stable; part of the API.
        detail: What happened, to what, and what to do; names limits and values.
        headers: Further response headers, e.g. Retry-After.
        extensions: Further members of the document.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.headers = headers
        self.extensions = extensions

    def response(self, request: Request) -> "ProblemResponse":
        """Return the answer to a request."""
        return self.response_at(request.scope)

    def response_at(self, scope: Scope) -> "ProblemResponse":
        """Return the answer to the request with that ASGI scope."""
        scope[REASON] = self.reason
        path = quote(scope["path"], safe=_URI_CHARACTERS, errors="replace")
        return ProblemResponse(self.document(path), self.status, headers=self.headers)

    def document(self, instance: str | None = None) -> dict[str, Any]:
        """Return the document. `type` is a tag URI (RFC 4151): an identifier, not a page.

        Args:
            instance: The path of the request, percent-encoded; None if it could not be read.
        """
        document = {
            "type": f"tag:vision-node.dev,2026:{self.reason}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "reason": self.reason,
            **jsonable_encoder(self.extensions),
        }
        if instance is None:
            del document["instance"]

        return document


class ProblemResponse(JSONResponse):
    """A problem document."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """Return the document as UTF-8; lone surrogates in what it quotes become question marks."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode(errors="replace")


async def on_problem(request: Request, error: Exception) -> ProblemResponse:
    """Answer an error that was raised on purpose, by us or by the framework, with a problem document."""
    problem = problem_of(error)
    if problem is None:
        raise error
    return problem.response(request)


def problem_of(error: Exception) -> Problem | None:
    """Return the problem that an error stands for; None if it was not raised on purpose."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            fields = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()
            )
            return Problem(422, "InvalidRequest", fields)
        case HTTPException():
            reason = HTTPStatus(error.status_code).phrase.title().replace(" ", "")
            headers = dict(error.headers or {})
            return Problem(error.status_code, reason, _detail(error, headers), headers=headers)
        case _:
            return None


def _detail(error: HTTPException, headers: dict[str, str]) -> str:
    """Return what the framework says, or something more helpful if that is only the status's name."""
    if error.detail != HTTPStatus(error.status_code).phrase:
        return str(error.detail)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return "nothing has this address; GET /docs lists what there is"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and "allow" in map(str.lower, headers):
        allowed = next(value for name, value in headers.items() if name.lower() == "allow")
        return f"this address does not answer to this method; it does to: {allowed}"

    return str(error.detail)
