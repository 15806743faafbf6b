"""Client for the API server: requests, lists and watches, all with timeouts and typed errors.

Objects are plain JSON. The official client is not used, because its generated models do not cover
custom resources, and its overhead per request exceeds the time that the operator takes to decide
(see docs/architecture.md).
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Set
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
    QuotaError,
    UnavailableError,
    parse_error,
    parse_event,
    parse_object,
)
from .watch_lines import lines_of

__all__ = [
    "WATCH_LOST_SECONDS",
    "WATCH_SECONDS",
    "AlreadyExistsError",
    "ConflictError",
    "GoneError",
    "Kube",
    "KubeError",
    "NotFoundError",
    "QuotaError",
    "Selectors",
    "UnavailableError",
    "WatchEvent",
    "backoff",
]

log = logging.getLogger(__name__)

REQUEST_SECONDS = 10.0
"""Maximum seconds for a request. An API server that takes longer is considered unavailable."""

WATCH_SECONDS = 45
"""Seconds after which the server ends a watch. The next watch continues where the previous one
ended, and costs only one request, which takes about a millisecond."""

WATCH_LOST_SECONDS = 55.0
"""Seconds without data after which a watch's connection is considered lost. This is longer than
WATCH_SECONDS, because even a healthy watch receives no data while nothing changes."""

BRIEF_SECONDS = 1.0
"""Minimum number of seconds that a watch without events should last. A watch that ends sooner is
considered failed: if it were reopened immediately, it would probably end just as quickly."""

PAGE = 500
"""Maximum number of objects on one page of a LIST, as in kubectl. The limit saves memory in both
the client and the server."""

RETRY_SECONDS = (0.1, 3.0)
"""First and longest wait in seconds before retrying a broken watch. The wait doubles after each
failure, with full jitter."""

_NO_ANSWER = (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError, ValueError)
"""Exceptions for a missing or unusable response. A ValueError means that the response is not JSON
but, for example, a proxy's error page or an incomplete line."""

_ONE_REQUEST = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
_ONE_WATCH = aiohttp.ClientTimeout(
    total=None, connect=REQUEST_SECONDS, sock_read=WATCH_LOST_SECONDS
)

_HEADERS = {
    "GET": {"Accept": "application/json"},
    "POST": {"Accept": "application/json", "Content-Type": "application/json"},
    "DELETE": {"Accept": "application/json", "Content-Type": "application/json"},
    "PATCH": {"Accept": "application/json", "Content-Type": "application/merge-patch+json"},
    # The body may be JSON, because JSON is valid YAML.
    "APPLY": {"Accept": "application/json", "Content-Type": "application/apply-patch+yaml"},
}


@dataclass(frozen=True, slots=True)
class Selectors:
    """Label and field selectors, with which the API server filters objects."""

    labels: str = ""
    fields: str = ""

    def query(self) -> list[tuple[str, str]]:
        """Return the query parameters for these selectors."""
        pairs = [("labelSelector", self.labels), ("fieldSelector", self.fields)]
        return [(k, v) for k, v in pairs if v]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event from `Kube.follow`: a change to one object, a page of a list, or the end of a list.

    PAGE contains the objects on one page. SYNCED marks the end of a list. An object whose name is
    not in the event's `names` did not exist at `version`.
    """

    type: Literal["PAGE", "SYNCED", "ADDED", "MODIFIED", "DELETED"]
    objects: list[Json] = field(default_factory=list)
    names: Set[str] = frozenset()
    version: str = ""
    size: int = 0
    """Number of bytes of the JSON text of a change; 0 for PAGE and SYNCED."""


class Kube:
    """A connection to one API server."""

    def __init__(self, server: Access) -> None:
        self._server = server
        self.last_activity: dict[str, float] = {}
        """Monotonic time, in seconds, of each watch's last activity, by path.

        Even if nothing changes, every watch is active at least once a minute or so, because the
        server sends bookmarks and ends each watch after WATCH_SECONDS."""

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
        """Send one request and return the JSON object in the response.

        PATCH bodies are merge patches (RFC 7386). APPLY is a server-side apply, which requires a
        fieldManager in `query`.

        Raises:
            UnavailableError: no response arrived in time, or a retry may succeed.
            KubeError: the API server refused the request; subclasses give the kind of error.
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
        self, path: str, selectors: Selectors = Selectors(), *, consistent: bool = True
    ) -> AsyncIterator[tuple[list[Json], str]]:
        """Yield pages of objects, each with the resourceVersion at which it was read.

        All pages of a consistent list have the same resourceVersion, from which a watch can start.
        The API server keeps that version for about five minutes. A list that is not consistent may
        take longer: it continues from the current version, so later pages are newer than the first.

        Pages save memory, because a single response with ten thousand objects would take 165 MB.

        Raises:
            GoneError: reading a consistent list took too long, so the caller has to start over.
            UnavailableError: the API server is unavailable, or the response is not a list.
        """
        continue_token, resumed = "", False

        while True:
            query = [*selectors.query(), ("limit", str(PAGE))]
            if continue_token:
                query.append(("continue", continue_token))

            try:
                page = await self.request("GET", path, query=query)
            except GoneError as error:
                if consistent or resumed or not error.continue_token:
                    raise

                continue_token, resumed = error.continue_token, True
                continue

            match page:
                case {"items": list(items), "metadata": {"resourceVersion": str(version)}}:
                    yield items, version
                case _:
                    message = f"GET {path}: not a list: {str(page)[:500]}"
                    raise UnavailableError(0, "NoAnswer", message)

            continue_token, resumed = page["metadata"].get("continue", ""), False
            if not continue_token:
                return

    async def watch(
        self, path: str, version: str, selectors: Selectors = Selectors(), pause: float = 0
    ) -> AsyncIterator[tuple[Json, int]]:
        """Yield raw watch events after `version`, and their sizes, until the server ends the watch.

        The events include bookmarks. Sizes are in bytes of JSON text. `pause` is the time in
        seconds for which events are left to accumulate.

        Raises:
            GoneError: `version` is too old, so the caller has to list the objects again.
            UnavailableError: the connection was lost, or the watch ended immediately.
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

                async for lines in lines_of(response, pause):
                    events += len(lines)
                    self.last_activity[path] = time.monotonic()
                    for line in lines:
                        yield parse_event(line), len(line)
        except _NO_ANSWER as error:
            raise UnavailableError(0, "WatchBroken", f"{path}: {error!r}") from error

        if not events and time.monotonic() - started < BRIEF_SECONDS:
            raise UnavailableError(0, "WatchEnded", f"{path}: ended immediately without an event")

        self.last_activity[path] = time.monotonic()

    async def changes(
        self, path: str, version: str, selectors: Selectors = Selectors(), pause: float = 0
    ) -> AsyncIterator[WatchEvent]:
        """Yield every change after `version`, indefinitely.

        `pause` is as in `watch`.

        Raises:
            GoneError: changes may have been missed, so the caller has to list the objects again.
            KubeError: the API server refused the request, and a retry would not help (for example,
                because the request is forbidden or malformed).
        """
        failures = 0

        while True:
            try:
                async for event, size in self.watch(path, version, selectors, pause):
                    failures, version = 0, event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield WatchEvent(event["type"], [event["object"]], size=size)
            except UnavailableError as error:
                log.warning("retrying the watch of %s: %s", path, error)
                await asyncio.sleep(backoff(failures, *RETRY_SECONDS))
                failures += 1

    async def follow(
        self, path: str, selectors: Selectors = Selectors(), pause: float = 0
    ) -> AsyncIterator[WatchEvent]:
        """Yield all objects, and then every change, indefinitely.

        Args:
            path: Where the objects are.
            selectors: Which of them.
            pause: Time in seconds for which changes are left to accumulate, for callers that are in
                no hurry. Handling many at once takes half of the CPU time.

        If changes may have been missed, all objects are listed again. If an object was deleted in
        the meantime, there is no DELETED event for it, but its name is missing from the next SYNCED
        event.

        Raises:
            KubeError: the API server refused the request, and a retry would not help (for example,
                because the request is forbidden or malformed).
        """
        failures = 0

        while True:
            try:
                names: set[str] = set()
                async for objects, version in self.list_pages(path, selectors):  # noqa: B007
                    names.update(body["metadata"]["name"] for body in objects)
                    yield WatchEvent("PAGE", objects)
                yield WatchEvent("SYNCED", names=frozenset(names), version=version)

                async for event in self.changes(path, version, selectors, pause):
                    failures = 0
                    yield event
            except (GoneError, UnavailableError) as error:
                if isinstance(error, UnavailableError):
                    log.warning("listing %s again: %s", path, error)

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
    """Return how many seconds to wait after `failures` consecutive failures, with full jitter.

    The maximum wait doubles with each failure, from `first` up to `longest`.
    """
    # Without a limit, an outage lasting days would cause an overflow.
    doublings = min(failures, 32)
    return random.uniform(0, min(longest, first * 2**doublings))  # noqa: S311 (jitter, not a secret)
