"""The API with authentication, whose keys and tokens are those of a fake API server."""

import base64
import json
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx
from api_fakes import SETTINGS
from api_server import until
from fakes.keys_api import AUDIENCE, SECRET, KeysApi, User
from fakes.kube_server import connected
from fastapi import FastAPI
from starlette.types import ASGIApp
from vision_node_api.app import attach_authentication, authenticating
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.services.auth.assembly import authentication_of, keys_follower
from vision_node_api.services.auth.authentication import Authentication
from vision_node_api.services.auth.key_store import KeyStore
from vision_node_api.settings import AuthSettings
from vision_node_api.web.access import Scope
from vision_node_api.web.http_settings import HttpSettings
from vision_node_contract.api_keys import ENTRY_PREFIX, ApiKey, hash_key, new_key
from vision_node_contract.clients.kube import Kube, WatchEvent

AUTH = AuthSettings(SECRET, AUDIENCE)
SECURED = replace(SETTINGS, auth=AUTH)


@dataclass(frozen=True)
class SecuredApi:
    """An application whose clients need a key."""

    app: FastAPI
    served: ASGIApp
    """The application with its middleware."""
    cluster: KeysApi
    """The fake API server."""
    kube: Kube
    authentication: Authentication

    @property
    def keys(self) -> KeyStore:
        return self.authentication.keys

    def make_key(
        self,
        owner: str,
        scopes: Collection[Scope] = ("submit", "read"),
        *,
        name: str = "",
        expires_at: datetime | None = None,
    ) -> str:
        """Store a key, and return its text. It works at once."""
        key_id, text = new_key()
        key = ApiKey(
            name=name or owner,
            owner=owner,
            scopes=[*scopes],
            sha256=hash_key(text),
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            expires_at=expires_at,
        )
        self.cluster.put(f"{ENTRY_PREFIX}{key_id}", key.model_dump_json(by_alias=True))
        self.keys.observe(WatchEvent("MODIFIED", [self.cluster.body]))
        return text

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        """Return a client that sends a key or token with each request."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        transport = httpx.ASGITransport(self.served)
        return httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers)


@asynccontextmanager
async def secured(
    app: FastAPI, cluster: KeysApi, http: HttpSettings | None = None
) -> AsyncIterator[SecuredApi]:
    """Secure an application, whose keys have been read, and follow their changes."""
    async with connected(cluster) as kube:
        authentication = authentication_of(SECURED, kube)
        follower = keys_follower(kube, authentication)
        assert authentication
        assert follower
        attach_authentication(app, authentication)
        wrap = authenticating(app)
        served = add_middleware(app, http or HttpSettings(), app.state.metrics, wrap)

        with follower.running():
            await until(lambda: follower.listed and cluster.is_watched)
            yield SecuredApi(app, served, cluster, kube, authentication)


def make_token(
    cluster: KeysApi,
    user: User,
    *,
    audience: object = AUDIENCE,
    expires_in: float | None = 3600,
    signature: str = "c2ln",
) -> str:
    """Let the fake API server know a user by a new token, and return the token."""
    claims = {"aud": audience, "sub": user.name, "n": len(cluster.users)}
    if expires_in is not None:
        claims["exp"] = int(time.time() + expires_in)

    token = f"{_segment({'alg': 'RS256'})}.{_segment(claims)}.{signature}"
    cluster.users[token] = user
    return token


def _segment(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
