"""JSON to and from the API server: requests, lists, watches; every one with a timeout and typed errors.

Objects travel as plain JSON. The official client's generated models know nothing of custom
resources, and its way to a request costs more time than the operator takes to decide on it (see
docs/architecture.md).
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Self

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from ..json_types import Json
from . import kube_auth
from .kube_auth import Access
from .kube_errors import (
    AlreadyExistsError,
    ConflictError,
    GoneError,
    KubeError,
    NotFoundError,
    UnavailableError,
    error_of,
    event_of,
    object_of,
)

__all__ = [
    "WATCH_LOST_SECONDS",
    "WATCH_SECONDS",
    "AlreadyExistsError",
    "ConflictError",
    "GoneError",
    "Kube",
    "KubeError",
    "NotFoundError",
    "Selectors",
    "UnavailableError",
    "WatchEvent",
    "backoff",
]

log = logging.getLogger(__name__)

REQUEST_SECONDS = 10.0
"""An API server that has not answered a single-object request by then is as good as away."""

WATCH_SECONDS = 45
"""The server ends a watch after this; a fresh one, a request of a millisecond, starts where it
ended."""

WATCH_LOST_SECONDS = 55.0
"""A watch that is silent for longer has lost its connection. Until then it looks like one with no
news."""

BRIEF_SECONDS = 1.0
"""A watch that ends before this without an event has failed: opened again at once, it would end
again."""

PAGE = 500
"""Objects a LIST returns at once, as kubectl does: bounds memory on both sides."""

RETRY_SECONDS = (0.1, 3.0)
"""First and longest wait before a broken watch is tried again (doubling, with full jitter)."""

_NO_ANSWER = (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError, ValueError)
"""ValueError: what came is no JSON, but a proxy's page or half a line."""

_ONE_REQUEST = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
_ONE_WATCH = aiohttp.ClientTimeout(
    total=None, connect=REQUEST_SECONDS, sock_read=WATCH_LOST_SECONDS
)

_HEADERS = {
    "GET": {"Accept": "application/json"},
    "POST": {"Accept": "application/json", "Content-Type": "application/json"},
    "DELETE": {"Accept": "application/json", "Content-Type": "application/json"},
    "PATCH": {"Accept": "application/json", "Content-Type": "application/merge-patch+json"},
    # JSON is YAML.
    "APPLY": {"Accept": "application/json", "Content-Type": "application/apply-patch+yaml"},
}


@dataclass(frozen=True, slots=True)
class Selectors:
    """Server-side filters."""

    labels: str = ""
    fields: str = ""

    def query(self) -> list[tuple[str, str]]:
        """Return the query parameters."""
        pairs = [("labelSelector", self.labels), ("fieldSelector", self.fields)]
        return [(k, v) for k, v in pairs if v]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """A change; or PAGE, a page of what is there; or SYNCED: what `names` lacks was gone at `version`."""

    type: Literal["PAGE", "SYNCED", "ADDED", "MODIFIED", "DELETED"]
    objects: list[Json] = field(default_factory=list)
    names: frozenset[str] = frozenset()
    version: str = ""


class Kube:
    """A connection to one API server."""

    def __init__(self, server: Access) -> None:
        self._server = server

    @classmethod
    @asynccontextmanager
    async def connect(cls, component: str) -> AsyncIterator[Self]:
        """Connect as the pod's service account, or as KUBECONFIG says when there is none."""
        async with kube_auth.connect(component) as server:
            yield cls(server)

    async def request(
        self,
        method: Literal["GET", "POST", "PATCH", "APPLY", "DELETE"],
        path: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: Json | None = None,
    ) -> Json:
        """Send one request and return the answer's JSON. PATCH bodies are merge patches (RFC 7386).

        APPLY is a server-side apply; its `query` names the fieldManager.

        Raises:
            KubeError: as its subclasses say; UnavailableError when no answer came in time.
        """
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        try:
            async with self._send(method, path, query, data, _ONE_REQUEST) as response:
                answer = await response.read()
            if response.status >= 400:
                raise error_of(response.status, answer)
            return object_of(answer)
        except _NO_ANSWER as error:
            raise UnavailableError(0, "NoAnswer", f"{method} {path}: {error!r}") from error

    async def list_pages(
        self, path: str, selectors: Selectors = Selectors()
    ) -> AsyncIterator[tuple[list[Json], str]]:
        """Yield pages of objects, each with the resourceVersion of the whole list, to watch from.

        Page by page, because ten thousand objects at once are 165 MB.

        Raises:
            GoneError: the list took too long to read; begin anew.
            UnavailableError: what came is no list.
        """
        proceed = ""
        while True:
            query = [*selectors.query(), ("limit", str(PAGE))]
            if proceed:
                query.append(("continue", proceed))
            page = await self.request("GET", path, query=query)
            match page:
                case {"items": list(items), "metadata": {"resourceVersion": str(version)}}:
                    yield items, version
                case _:
                    raise UnavailableError(
                        0, "NoAnswer", f"GET {path}: no list but {str(page)[:500]}"
                    )

            proceed = page["metadata"].get("continue", "")
            if not proceed:
                return

    async def watch(
        self, path: str, version: str, selectors: Selectors = Selectors()
    ) -> AsyncIterator[Json]:
        """Yield raw watch events after `version`, bookmarks included, until the server ends the watch.

        Raises:
            GoneError: list again.
            UnavailableError: the connection broke or fell silent, or the watch ended at once.
        """
        began, events = time.monotonic(), 0
        query = [
            *selectors.query(),
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(WATCH_SECONDS)),
            ("resourceVersion", version),
        ]

        try:
            async with self._send("GET", path, query, None, _ONE_WATCH) as response:
                if response.status >= 400:
                    raise error_of(response.status, await response.read())
                async for line in response.content:
                    event = event_of(line)
                    events += 1
                    yield event
        except _NO_ANSWER as error:
            raise UnavailableError(0, "WatchBroken", f"{path}: {error!r}") from error

        if not events and time.monotonic() - began < BRIEF_SECONDS:
            raise UnavailableError(0, "WatchEnded", f"{path}: ended at once, without an event")

    async def follow(
        self, path: str, selectors: Selectors = Selectors(), version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """List, then watch, for ever: what is there now, then every change, then again after a gap.

        Objects deleted during a gap show only by their absence from the next SYNCED. With the
        `version` of a list that was read before, it begins with the changes since.

        Raises:
            KubeError: a refusal that waiting does not mend (forbidden, malformed).
        """
        failures = 0
        while True:
            try:
                if not version:
                    names: set[str] = set()
                    async for objects, listed_at in self.list_pages(path, selectors):  # noqa: B007
                        names.update(body["metadata"]["name"] for body in objects)
                        yield WatchEvent("PAGE", objects)
                    yield WatchEvent("SYNCED", names=frozenset(names), version=listed_at)
                    version = listed_at

                async for event in self.watch(path, version, selectors):
                    failures, version = 0, event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield WatchEvent(event["type"], [event["object"]])
            except (GoneError, UnavailableError) as error:
                if isinstance(error, GoneError):
                    version = ""
                else:
                    log.warning("watch of %s is tried again: %s", path, error)

                await asyncio.sleep(backoff(failures, *RETRY_SECONDS))
                failures += 1

    def _send(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]] | None,
        data: bytes | None,
        timeout: aiohttp.ClientTimeout,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = _HEADERS[method] | self._server.credentials()
        url = self._server.url + path
        verb = "PATCH" if method == "APPLY" else method
        return self._server.session.request(
            verb,
            url,
            params=query,
            data=data,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
        )


def backoff(failures: int, first: float, longest: float) -> float:
    """Return the seconds to wait after so many failures in a row: doubling, capped, full jitter."""
    doublings = min(failures, 32)  # an outage of days must not overflow
    return random.uniform(0, min(longest, first * 2**doublings))  # noqa: S311 (jitter, not a secret)
