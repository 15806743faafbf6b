"""Return errors as problem documents (RFC 9457) with reasons that programs can act on."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from .allowed_methods import allowed_methods, with_head_and_options
from .reasons import REGISTER

MEDIA_TYPE = "application/problem+json"

REASON = "vision_node.reason"
"""Key in the scope under which the reason for a problem is stored for metrics."""

HELP_PATH = "/problems"
"""Path below which each reason has a page."""

_URI_CHARACTERS = "/:@!$&'()*+,;=~"
"""Characters that need no encoding in a path (RFC 3986, section 3.3), in addition to letters,
digits and `-._`."""


class Problem(Exception):  # noqa: N818 (RFC 9457's word)
    """An error that becomes the response to a request.

    Args:
        status: HTTP status code.
        reason: Word in CamelCase. It must not change, because it is part of the API.
        detail: Complete sentences that say what happened and what to do. They include the relevant
            names, limits and values.
        headers: Additional response headers, such as Retry-After.
        extensions: Additional members of the document.
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
        """Return the response to a request."""
        return self.response_at(request.scope)

    def response_at(self, scope: Scope) -> "ProblemResponse":
        """Return the response to the request with this ASGI scope."""
        scope[REASON] = self.reason
        document = self.document(quote_path(scope["path"]), scope.get("root_path", ""))
        return ProblemResponse(document, self.status, headers=self.headers)

    def document(self, instance: str | None = None, root_path: str = "") -> dict[str, Any]:
        """Return the problem document.

        Its `type` is a tag URI (RFC 4151), which is an identifier and not the address of a page.
        That address is `help`, which is missing if the reason is not in the register. A custom
        describer, for example, may have reasons of its own.

        Args:
            instance: Percent-encoded path of the request; None if the path could not be read. The
                client then is hardly behind a proxy, which would have refused the request.
            root_path: Path below which the client reaches the API.
        """
        entry = REGISTER.get(self.reason)
        document = {
            "type": f"tag:vision-node.dev,2026:{self.reason}",
            "title": entry.title if entry else HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "reason": self.reason,
            "help": f"{root_path}{HELP_PATH}/{self.reason}" if entry else None,
            **jsonable_encoder(self.extensions),
        }
        return {name: value for name, value in document.items() if not _is_missing(name, value)}


def quote_path(path: str) -> str:
    """Return a path percent-encoded, with characters of URIs only."""
    return quote(path, safe=_URI_CHARACTERS, errors="replace")


def _is_missing(name: str, value: object) -> bool:
    return name in {"instance", "help"} and value is None


class ProblemResponse(JSONResponse):
    """A response that is a problem document."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """Return the document encoded as UTF-8. Lone surrogates are replaced by question marks."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode(errors="replace")


async def on_problem(request: Request, error: Exception) -> ProblemResponse:
    """Respond to an error that the API or the framework raised intentionally."""
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        error = _method_not_allowed(request, error)

    problem = problem_of(error)
    if problem is None:
        raise error
    return problem.response(request)


def problem_of(error: Exception) -> Problem | None:
    """Convert an error into a problem. Return None if it was not raised intentionally."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid_request(error)
        case HTTPException():
            return _framework_problem(error)
        case _:
            return None


def _method_not_allowed(request: Request, error: HTTPException) -> HTTPException:
    """Return the error with all methods that the path supports."""
    allowed = with_head_and_options(allowed_methods(request.scope))
    return HTTPException(405, headers={**(error.headers or {}), "Allow": allowed})


def invalid_fields(error: RequestValidationError | ValidationError, whole: str = "") -> str:
    """Return all invalid fields with what is wrong with each, as part of a sentence.

    Args:
        error: What pydantic has found.
        whole: Name of the document, for errors that concern no single field.
    """
    return "; ".join(
        f"{'.'.join(map(str, it['loc'])) or whole}: {it['msg']}" for it in error.errors()
    )


def _invalid_request(error: RequestValidationError) -> Problem:
    return Problem(422, "InvalidRequest", f"The request is invalid: {invalid_fields(error)}.")


def _framework_problem(error: HTTPException) -> Problem:
    status = HTTPStatus(error.status_code)
    reason = status.phrase.title().replace(" ", "")
    headers = dict(error.headers or {})

    detail = _detail(error, status, headers)
    return Problem(error.status_code, reason, detail, headers=headers)


def _detail(error: HTTPException, status: HTTPStatus, headers: dict[str, str]) -> str:
    """Return the framework's message, or a better one if it is only the name of the status."""
    if error.detail != status.phrase:
        return str(error.detail)

    if status is HTTPStatus.NOT_FOUND:
        return "The API does not have this path. GET /docs lists all paths."

    allowed = next((value for name, value in headers.items() if name.lower() == "allow"), None)
    if status is HTTPStatus.METHOD_NOT_ALLOWED and allowed is not None:
        return f"This path does not support this method. It supports: {allowed}."

    return str(error.detail)
