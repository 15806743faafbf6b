"""Client of the API server: requests, lists and watches, all with a timeout and typed errors.

Objects are plain JSON. The official client's generated models do not cover custom resources, and
its overhead for each request takes longer than the operator's decision that leads to the request
(see docs/architecture.md).
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
    parse_error,
    parse_event,
    parse_object,
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
"""Maximum duration of a request for one object; a slower API server counts as unavailable."""

WATCH_SECONDS = 45
"""Seconds after which the server ends a watch. The next watch, which costs one request of a
millisecond, continues where the previous one ended."""

WATCH_LOST_SECONDS = 55.0
"""Maximum seconds without data before a watch's connection counts as lost. This is longer than
WATCH_SECONDS, because a watch without changes may receive no data either."""

BRIEF_SECONDS = 1.0
"""Minimum duration of a watch without events. A watch that ends sooner has failed, and would
probably fail again if it were reopened immediately."""

PAGE = 500
"""Maximum objects in one page of a LIST, as in kubectl. This limits memory on both sides."""

RETRY_SECONDS = (0.1, 3.0)
"""First and longest wait before a broken watch is retried (doubling, with full jitter)."""

_NO_ANSWER = (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError, ValueError)
"""Exceptions for a missing or unusable response. ValueError: the response is not JSON but, for
example, a proxy's error page or half a line."""

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
    """Filters that the API server applies."""

    labels: str = ""
    fields: str = ""

    def query(self) -> list[tuple[str, str]]:
        """Return the query parameters."""
        pairs = [("labelSelector", self.labels), ("fieldSelector", self.fields)]
        return [(k, v) for k, v in pairs if v]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of `Kube.follow`: a change of one object, a page of a list, or the end of a list.

    PAGE carries the objects of one page. SYNCED ends a list: an object whose name is not in `names`
    did not exist at `version`.
    """

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
        """Connect as the pod's service account or, outside a cluster, with KUBECONFIG."""
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
        """Send one request and return the JSON of the response.

        PATCH bodies are merge patches (RFC 7386). APPLY is a server-side apply, whose `query` must
        contain the fieldManager.

        Raises:
            KubeError: a subclass by kind of error; UnavailableError if no response came in time.
        """
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()

        try:
            async with self._send(method, path, query, data, _ONE_REQUEST) as response:
                content = await response.read()

            if response.status >= 400:
                raise parse_error(response.status, content)
            return parse_object(content)
        except _NO_ANSWER as error:
            raise UnavailableError(0, "NoAnswer", f"{method} {path}: {error!r}") from error

    async def list_pages(
        self, path: str, selectors: Selectors = Selectors()
    ) -> AsyncIterator[tuple[list[Json], str]]:
        """Yield pages of objects, each with the resourceVersion of the whole list, to watch from.

        Pages save memory: ten thousand objects in one response take 165 MB.

        Raises:
            GoneError: reading the list took too long; start again.
            UnavailableError: the response is not a list.
        """
        continue_token = ""

        while True:
            query = [*selectors.query(), ("limit", str(PAGE))]
            if continue_token:
                query.append(("continue", continue_token))

            page = await self.request("GET", path, query=query)
            match page:
                case {"items": list(items), "metadata": {"resourceVersion": str(version)}}:
                    yield items, version
                case _:
                    message = f"GET {path}: not a list: {str(page)[:500]}"
                    raise UnavailableError(0, "NoAnswer", message)

            continue_token = page["metadata"].get("continue", "")
            if not continue_token:
                return

    async def watch(
        self, path: str, version: str, selectors: Selectors = Selectors()
    ) -> AsyncIterator[Json]:
        """Yield raw watch events after `version`, with bookmarks, until the server ends the watch.

        Raises:
            GoneError: `version` is too old; list again.
            UnavailableError: the connection broke or fell silent, or the watch ended immediately.
        """
        started, events = time.monotonic(), 0
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
                    raise parse_error(response.status, await response.read())

                async for line in response.content:
                    event = parse_event(line)
                    events += 1
                    yield event
        except _NO_ANSWER as error:
            raise UnavailableError(0, "WatchBroken", f"{path}: {error!r}") from error

        if not events and time.monotonic() - started < BRIEF_SECONDS:
            raise UnavailableError(0, "WatchEnded", f"{path}: ended immediately without an event")

    async def follow(
        self, path: str, selectors: Selectors = Selectors(), version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Yield all objects, then every change, endlessly; list again after a gap.

        If an object is deleted during a gap, no DELETED event follows: its name is only missing
        from the next SYNCED. With the `version` of an earlier list, start with the changes since
        then instead of a list.

        Raises:
            KubeError: a refusal that waiting does not change (forbidden, malformed).
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
                    log.warning("retrying the watch of %s: %s", path, error)

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
    """Return the seconds to wait after consecutive failures: doubling, capped, with full jitter."""
    doublings = min(failures, 32)  # an outage of days must not cause an overflow
    return random.uniform(0, min(longest, first * 2**doublings))  # noqa: S311 (jitter, not a secret)
