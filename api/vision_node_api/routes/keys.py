"""Routes for API keys, and for clients that want to know who they are."""

import logging
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, Field
from vision_node_contract.api_keys import ApiKey, is_key_id, new_key

from ..services.auth.authentication import Authentication
from ..services.auth.identity import Identity
from ..services.auth.key_problems import key_not_found
from ..services.auth.key_store import KeyStore, KnownKey, new_api_key
from ..uploads.key_options import NewKey
from ..uploads.retry_options import read_json_object
from ..web.access import Scope, current_access
from ..web.identity_key import IDENTITY
from ..web.problems import Problem
from .dependencies import PROBLEM, JobsDep

log = logging.getLogger(__name__)

router = APIRouter(tags=["keys"])

_NO_STORE = {"Cache-Control": "no-store"}
"""A header that keeps proxies and browsers from storing a response with a key."""


class WhoamiResponse(BaseModel):
    """Response to GET /whoami."""

    subject: str = Field(description="name of the API key, or of the Kubernetes user")
    owner: str = Field(
        description="to whom belongs what the client creates; empty if clients are not "
        "authenticated"
    )
    scopes: list[Scope] = Field(description="what the client may do")
    expires_at: datetime | None = Field(
        description="when the key or token stops working; null if that is not known, or never"
    )


class KeyResponse(BaseModel):
    """An API key, without its text."""

    id: str
    name: str
    owner: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None


class KeysResponse(BaseModel):
    """Response to GET /keys."""

    keys: list[KeyResponse]


class CreatedKeyResponse(BaseModel):
    """Response to POST /keys."""

    id: str
    name: str
    owner: str
    scopes: list[Scope]
    expires_at: datetime | None
    key: str = Field(description="the key itself, which is shown only here")


async def get_authentication(request: Request) -> Authentication:
    """Return what finds out who sends a request.

    The function is async, because FastAPI would otherwise call it in a thread.

    Raises:
        Problem: 501 AuthenticationDisabled.
    """
    authentication: Authentication | None = request.app.state.authentication
    if authentication is None:
        detail = (
            "This release does not authenticate its clients, so it has no API keys. An "
            "administrator can set auth.enabled=true in the chart's values."
        )
        raise Problem(501, "AuthenticationDisabled", detail)

    return authentication


async def get_keys(request: Request) -> KeyStore:
    """Return the application's API keys.

    Raises:
        Problem: 501 AuthenticationDisabled.
    """
    return (await get_authentication(request)).keys


KeysDep = Annotated[KeyStore, Depends(get_keys)]

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": NewKey.model_json_schema()}},
    }
}


@router.get("/whoami")
async def whoami(request: Request) -> WhoamiResponse:
    """Return who the client is, and what it may do."""
    identity: Identity | None = request.scope.get(IDENTITY)
    access = current_access()
    return WhoamiResponse(
        subject=access.subject,
        owner=access.owner,
        scopes=sorted(access.scopes),
        expires_at=identity.expires_at if identity else None,
    )


@router.post(
    "/keys",
    status_code=201,
    openapi_extra=_BODY,
    responses=dict.fromkeys((400, 408, 409, 413, 415, 422, 429, 501, 503), PROBLEM),
)
async def create_key(
    request: Request, response: Response, jobs: JobsDep, keys: KeysDep
) -> CreatedKeyResponse:
    """Create an API key. Its text is in the response, and can't be read again.

    The release stores only a hash of it.
    """
    with jobs.uploads.admit() as slot:
        wanted = NewKey.read(await read_json_object(request, slot))

    key_id, text = new_key()
    key = new_api_key(
        text,
        name=wanted.name,
        owner=wanted.owner or wanted.name,
        scopes=wanted.scopes,
        expires_at=wanted.expires_at(datetime.now(UTC)),
    )
    await keys.create(key_id, key)
    _log_created(key_id, key)

    response.headers.update(_NO_STORE)
    return CreatedKeyResponse(
        id=key_id,
        name=key.name,
        owner=key.owner,
        scopes=key.scopes,
        expires_at=key.expires_at,
        key=text,
    )


@router.get("/keys", responses=dict.fromkeys((501, 503), PROBLEM))
async def list_keys(response: Response, keys: KeysDep) -> KeysResponse:
    """List all API keys, the oldest first, without their texts."""
    response.headers.update(_NO_STORE)
    return KeysResponse(keys=[_key_response(it) for it in await keys.all()])


@router.delete("/keys/{id}", status_code=204, responses=dict.fromkeys((404, 501, 503), PROBLEM))
async def revoke_key(
    key_id: Annotated[str, Path(alias="id", description="id of the key, from GET /keys")],
    keys: KeysDep,
) -> None:
    """Revoke an API key. It stops working within a second, and what was created with it stays."""
    if not is_key_id(key_id):
        raise key_not_found(key_id)

    await keys.revoke(key_id)
    log.info("API key %s was revoked by %r", key_id, current_access().subject)


def _log_created(key_id: str, key: ApiKey) -> None:
    log.info(
        "API key %s (name %s, owner %s, scopes %s) was created by %r",
        key_id,
        key.name,
        key.owner,
        ",".join(key.scopes),
        current_access().subject,
    )


def _key_response(known: KnownKey) -> KeyResponse:
    key = known.key
    return KeyResponse(
        id=known.id,
        name=key.name,
        owner=key.owner,
        scopes=key.scopes,
        created_at=key.created_at,
        expires_at=key.expires_at,
    )
