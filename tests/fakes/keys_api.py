"""A fake Kubernetes API server with the Secret of the API keys, and with tokens of users."""

import base64
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web
from vision_node_contract.json_types import Json

from .kube_server import WatchLog, refusal

NAMESPACE = "ns"
SECRET = "vision-node-api-keys"  # noqa: S105 (a name)
AUDIENCE = "vision-node"


async def do_nothing() -> None:
    """Do nothing."""


@dataclass
class User:
    """A user of the cluster."""

    name: str
    verbs: set[str] = field(default_factory=set)
    """What the user may do with ImageJobs."""
    groups: list[str] = field(default_factory=list)
    audiences: list[str] = field(default_factory=lambda: [AUDIENCE])


class KeysApi:
    """The Secret, the users by their tokens, and the faults that the server simulates."""

    def __init__(self) -> None:
        self.data: dict[str, str] | None = {}
        """The Secret's data; None if there is no Secret."""
        self.version = 100
        self.users: dict[str, User] = {}
        self.is_away = False
        """Whether all requests are answered with 503, apart from watches that have begun."""
        self.loses_answers = 0
        """Number of PATCH requests to carry out, and answer with 504."""
        self.before_patch: Callable[[], Awaitable[None]] = do_nothing
        """Function to call before a PATCH request is handled."""
        self.before_review: Callable[[], Awaitable[None]] = do_nothing
        """Function to call before a TokenReview is answered."""
        self.requests: Counter[str] = Counter()
        """Number of requests by kind: list, watch, get, patch, token, access."""
        self.selectors: set[str] = set()
        """Field selectors of lists and watches."""
        self.reviews: list[Json] = []
        """Bodies of all reviews."""
        self.watches = WatchLog()

    @property
    def is_watched(self) -> bool:
        """Whether a client watches the Secret."""
        return self.watches.is_watched

    @property
    def body(self) -> Json:
        """The Secret."""
        metadata = {"name": SECRET, "uid": "u", "resourceVersion": str(self.version)}
        return {"metadata": metadata, "data": dict(self.data or {})}

    def put(self, name: str, text: str | bytes | None) -> None:
        """Change an entry of the Secret, which is not in base64; None removes it."""
        assert self.data is not None
        if text is None:
            del self.data[name]
        else:
            data = text.encode() if isinstance(text, str) else text
            self.data[name] = base64.b64encode(data).decode()
        self._changed("MODIFIED")

    def restore(self, data: dict[str, str]) -> None:
        """Create the Secret again, with values in base64."""
        self.data = dict(data)
        self._changed("ADDED")

    def delete(self) -> None:
        """Delete the Secret."""
        self._changed("DELETED")
        self.data = None

    def break_watches(self) -> None:
        """End all watches, and make clients list everything again."""
        self.watches.break_off()

    def end_watches(self) -> None:
        """End all watches, so that the server can stop."""
        self.watches.end()

    def add_routes(self, app: web.Application) -> None:
        """Add the paths to `app`."""
        root = "/api/v1/namespaces/{namespace}/secrets"
        reviews = "/apis/authorization.k8s.io/v1/namespaces/{namespace}/localsubjectaccessreviews"
        app.router.add_get(root, self._list)
        app.router.add_get(f"{root}/{SECRET}", self._get)
        app.router.add_patch(f"{root}/{SECRET}", self._patch)
        app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", self._review_token)
        app.router.add_post(reviews, self._review_access)

    def _changed(self, kind: str) -> None:
        self.version += 1
        self.watches.tell({"type": kind, "object": self.body})

    def _count(self, kind: str) -> web.Response | None:
        self.requests[kind] += 1
        return refusal(503) if self.is_away else None

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.selectors.add(request.query.get("fieldSelector", ""))
        if "watch" in request.query:
            return self._count("watch") or await self.watches.follow(request, self.version)

        items = [] if self.data is None else [self.body]
        metadata = {"resourceVersion": str(self.version)}
        return self._count("list") or web.json_response({"metadata": metadata, "items": items})

    async def _get(self, request: web.Request) -> web.Response:
        found = refusal(404) if self.data is None else web.json_response(self.body)
        return self._count("get") or found

    async def _patch(self, request: web.Request) -> web.Response:
        patch = await request.json()
        if refused := self._count("patch"):
            return refused

        await self.before_patch()
        if self.data is None:
            return refusal(404)
        if patch["metadata"]["resourceVersion"] != str(self.version):
            return refusal(409)

        merged = {**self.data, **patch["data"]}
        self.data = {name: value for name, value in merged.items() if value is not None}
        self._changed("MODIFIED")
        if self.loses_answers:
            self.loses_answers -= 1
            return refusal(504)

        return web.json_response(self.body)

    async def _review_token(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.reviews.append(body)
        if refused := self._count("token"):
            return refused

        await self.before_review()
        user = self.users.get(body["spec"]["token"])
        common = set(body["spec"]["audiences"]) & set(user.audiences if user else ())
        if user is None or not common:
            return web.json_response({**body, "status": {"error": "invalid"}}, status=201)

        named = {"username": user.name, "uid": "1", "groups": user.groups, "extra": {"k": ["v"]}}
        status = {"authenticated": True, "user": named, "audiences": sorted(common)}
        return web.json_response({**body, "status": status}, status=201)

    async def _review_access(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.reviews.append(body)
        spec = body["spec"]
        users = {user.name: user for user in self.users.values()}
        verbs = users[spec["user"]].verbs if spec["user"] in users else set()
        allowed = spec["resourceAttributes"]["verb"] in verbs or "*" in verbs
        answer = {**body, "status": {"allowed": allowed}}
        return self._count("access") or web.json_response(answer, status=201)
