"""The cookie that contains the session of the page."""

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

NAME = "vision_node_session"

MAX_COOKIES = 4
"""Maximum number of cookies with this name that a request may have. A browser sends one for each
path that leads to the API's, such as / and /vision, where other releases may be."""


def session_texts(headers: Headers) -> list[str]:
    """Return the distinct values of all cookies with the session's name, in order.

    There may be several: other releases set theirs for other paths of the same host, and other
    servers of the same domain may set some for this host (RFC 6265, section 8.6). The list is empty
    if there are more than MAX_COOKIES.
    """
    found: dict[str, None] = {}
    for line in headers.getlist("cookie"):
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == NAME and value:
                found[value] = None

    return list(found) if len(found) <= MAX_COOKIES else []


def set_session(response: Response, scope: Scope, text: str, seconds: int) -> None:
    """Let the browser keep a session for this number of seconds.

    Scripts can't read the cookie, and other sites' pages can't cause requests that contain it.
    """
    response.set_cookie(
        NAME,
        text,
        max_age=seconds,
        path=scope.get("root_path") or "/",
        secure=_is_secure(scope),
        httponly=True,
        samesite="strict",
    )


def clear_session(response: Response, scope: Scope) -> None:
    """Let the browser forget its session."""
    set_session(response, scope, "", 0)


def _is_secure(scope: Scope) -> bool:
    """Return whether the browser uses HTTPS, which a proxy may terminate without saying so."""
    origin = Headers(scope=scope).get("origin", "")
    return scope["scheme"] == "https" or origin.startswith("https://")
