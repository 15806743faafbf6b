"""Errors as problem documents (RFC 9457), each with the reason that a program can act upon."""

from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"


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

    def response(self, request: Request) -> JSONResponse:
        """Return the document. `type` is a tag URI (RFC 4151): an identifier, not a page."""
        return JSONResponse(
            {
                "type": f"tag:vision-node.dev,2026:{self.reason}",
                "title": HTTPStatus(self.status).phrase,
                "status": self.status,
                "detail": self.detail,
                "instance": request.url.path,
                "reason": self.reason,
                **jsonable_encoder(self.extensions),
            },
            self.status,
            headers=self.headers,
            media_type=MEDIA_TYPE,
        )


async def on_problem(request: Request, error: Exception) -> JSONResponse:
    """Answer with any error that is raised on purpose, ours or the framework's, as a problem document."""
    match error:
        case Problem():
            return error.response(request)
        case RequestValidationError():
            fields = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            return Problem(422, "InvalidRequest", fields).response(request)
        case HTTPException():
            reason = HTTPStatus(error.status_code).phrase.title().replace(" ", "")
            problem = Problem(error.status_code, reason, str(error.detail))
            problem.headers = dict(error.headers or {})
            return problem.response(request)
        case _:
            raise error
