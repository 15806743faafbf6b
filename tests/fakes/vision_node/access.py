"""The routes of the fake vision-node server about identities, API keys and usage."""

from collections.abc import Iterable

from aiohttp import web

from .responses import Json

FIRST_KEY = "vn_first_admin"
"""The key of the administrator."""


class FakeAccess:
    """The keys of a fake server. Until a test turns them on, it needs none."""

    def __init__(self) -> None:
        self.needs_key = False
        self.keys: dict[str, Json] = {}
        """Keys by their texts."""
        self.sent: list[str | None] = []
        """The header Authorization of each request."""
        self.queries: list[Json] = []
        """Query of each request for usage."""
        self.bodies: list[Json] = []
        """Body of each request for a new key."""
        self.add(FIRST_KEY, "first", "admin", ["admin"])

    def add(self, text: str, key_id: str, name: str, scopes: list[str]) -> Json:
        """Add a key, and return it without its text."""
        found = {"id": key_id, "name": name, "owner": name, "scopes": scopes, "expires_at": None}
        self.keys[text] = found
        return found

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return the refusal of a request; None if it is allowed."""
        header = request.headers.get("Authorization")
        if request.path == "/readyz":
            return None

        self.sent.append(header)
        if not self.needs_key or (header or "").removeprefix("Bearer ") in self.keys:
            return None

        detail = "The request has no valid API key."
        body = {"status": 401, "reason": "Unauthenticated", "detail": detail}
        return web.json_response(
            body,
            status=401,
            content_type="application/problem+json",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/readyz", self._ready),
            web.get("/whoami", self._whoami),
            web.get("/keys", self._list),
            web.post("/keys", self._create),
            web.delete("/keys/{id}", self._revoke),
            web.get("/usage", self._usage),
        ]

    async def _ready(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    async def _whoami(self, request: web.Request) -> web.Response:
        header = request.headers.get("Authorization", "")
        key = self.keys.get(header.removeprefix("Bearer "))
        found = key or {"name": "anonymous", "owner": "", "scopes": ["submit", "read", "admin"]}
        return web.json_response(
            {
                "subject": found["name"],
                "owner": found["owner"],
                "scopes": found["scopes"],
                "expires_at": found.get("expires_at"),
            }
        )

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": list(self.keys.values())})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        text = f"vn_{len(self.keys)}_secret"
        scopes = body.get("scopes", ["submit", "read"])
        found = self.add(text, str(len(self.keys)), body["name"], scopes)
        found["owner"] = body.get("owner", body["name"])
        found["expires_at"] = body.get("expires")
        return web.json_response({**found, "key": text}, status=201)

    async def _revoke(self, request: web.Request) -> web.Response:
        for text, key in self.keys.items():
            if key["id"] == request.match_info["id"]:
                del self.keys[text]
                return web.Response(status=204)

        body = {"status": 404, "reason": "KeyNotFound", "detail": "There is no such key."}
        return web.json_response(body, status=404, content_type="application/problem+json")

    async def _usage(self, request: web.Request) -> web.Response:
        self.queries.append(dict(request.query))
        day = {"day": "2026-11-27", "describer": "local", "images": 3, "failed": 1}
        day |= {"bytes": 900, "input_tokens": 0, "output_tokens": 0}
        owner = request.query.get("owner", "admin")
        following = None if request.query.get("before") == "2026-11-27" else "2026-11-27"
        return web.json_response(
            {"owner": owner, "days": [day], "next": following, "today": {"used": {"bytes": 900}}}
        )
