"""What the OpenAPI document says about who may use an operation."""

from typing import Any

from ...web.required_scope import ANY, PUBLIC
from ..required_scopes import REQUIRED
from .reason_groups import Reasons, merged

Json = dict[str, Any]

SECURITY_SCHEME: Json = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key (`vn_…`), or a token of Kubernetes if the release accepts these. "
    "Each operation lists the scope that it needs: submit, read or admin, which includes the other "
    "two. Releases that do not authenticate their clients ignore this header.",
}
"""How clients say who they are."""

AUTHENTICATED: Reasons = {401: ("Unauthenticated",), 503: ("AuthenticationUnavailable",)}
"""Reasons of all operations that are not for everyone."""

SCOPED = merged(AUTHENTICATED, {403: ("Forbidden",)})
"""Reasons of operations that need a scope."""

CHANGING = merged(SCOPED, {403: ("OriginNotAllowed",)})
"""Reasons of operations that change something, which other pages must not cause."""


def security_of(method: str, path: str) -> list[Json]:
    """Return what a client needs: the list of a scheme may have roles (OpenAPI 3.1, 4.8.30)."""
    required = REQUIRED.get((method, path), "admin")
    if required == PUBLIC:
        return []

    return [{"bearer": [] if required == ANY else [required]}]


def access_reasons(method: str, path: str) -> Reasons:
    """Return the reasons for which clients are refused before the operation handles them."""
    required = REQUIRED.get((method, path), "admin")
    if required == PUBLIC:
        return {}
    if required == ANY:
        return AUTHENTICATED

    return SCOPED if method == "GET" else CHANGING
