"""Routes with which the page trades a key for a session, and ends it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from ..services.auth.login import Login
from ..web.login_body import FORM_TYPE, JSON_TYPE, read_key
from ..web.same_origin import require_same_origin
from ..web.session_cookie import clear_session, set_session
from .dependencies import PROBLEM
from .keys import get_authentication

router = APIRouter(tags=["keys"])

_BODY = {
    "type": "object",
    "required": ["key"],
    "properties": {"key": {"type": "string", "description": "API key, or token of Kubernetes"}},
}


async def get_login(request: Request) -> Login:
    """Return the service that begins sessions.

    Raises:
        Problem: 501 AuthenticationDisabled.
    """
    authentication = await get_authentication(request)
    return Login(authentication, request.app.state.refusals)


@router.post(
    "/session",
    status_code=204,
    responses=dict.fromkeys((400, 401, 403, 408, 413, 415, 422, 501, 503), PROBLEM),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {it.decode(): {"schema": _BODY} for it in (JSON_TYPE, FORM_TYPE)},
        }
    },
)
async def log_in(request: Request, login: Annotated[Login, Depends(get_login)]) -> Response:
    """Trade an API key for a session of the page, which is a cookie.

    Only the page of the API itself can do so, because the header Origin (or Sec-Fetch-Site) is
    compared with the address of the request. Programs send their key with each request instead.
    """
    require_same_origin(request.scope)
    address = request.client.host if request.client else ""
    begun = await login.begin(await read_key(request), address)

    response = Response(status_code=204, headers={"Cache-Control": "no-store"})
    set_session(response, request.scope, begun.text, begun.seconds)
    return response


@router.delete("/session", status_code=204, responses={403: PROBLEM})
async def log_out(request: Request) -> Response:
    """Let the browser forget its session.

    The session itself ends with its time limit or with its key, so revoke the key if another person
    may have the cookie.
    """
    require_same_origin(request.scope)

    response = Response(status_code=204, headers={"Cache-Control": "no-store"})
    clear_session(response, request.scope)
    return response
