"""Let a request wait until its object is finished, if the client prefers that (RFC 7240)."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Header, Request
from starlette.types import Receive
from vision_node_contract.models.imagejob import ObjectMeta

from .access_check import calling_when_refused
from .http_protocol import ON_SHUTDOWN
from .owner_share import OwnerShare
from .prefer import MAX_WAIT_SECONDS, wait_seconds
from .problems import Problem

MAX_WAITING = 1000
"""Maximum number of requests that wait at the same time. Each takes up to 40 kB with its
connection and its job, so all of them take 40 MB."""

APPLIED = "Preference-Applied"

WAITED = "vision_node.waited"
"""Key in the scope under which the time that the request has waited is stored for metrics, in
seconds."""

APPLIED_HEADER: dict[str, Any] = {
    APPLIED: {
        "description": "`wait=N` if the response was delayed for up to N seconds",
        "schema": {"type": "string", "example": "wait=30"},
    }
}
"""OpenAPI description of the response header."""


class Finishable(Protocol):
    """An ImageJob, an ImageBatch or an image of one."""

    @property
    def metadata(self) -> ObjectMeta:
        """Its metadata."""

    @property
    def finished(self) -> bool:
        """Whether it is done or has failed."""


T = TypeVar("T", bound=Finishable)


class WaitLimit:
    """Limits how many requests wait at the same time, in all and for each owner.

    A request that may not wait is answered at once. It is not refused, because it may have created
    something, and waiting is only a preference.
    """

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self.limit = limit
        self.waiting = 0
        """Number of requests that wait now."""
        self.share = OwnerShare(limit, "wait with {limit} requests", "Poll.", "1")
        """How many requests of one owner may wait."""

    @property
    def is_reached(self) -> bool:
        """Whether no further request of the current client may wait."""
        return self.waiting >= self.limit or not self.share.has_room()

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count a request as waiting for the duration of the block."""
        with self.share.holding():
            self.waiting += 1
            try:
                yield
            finally:
                self.waiting -= 1


class PreferredWait:
    """How long the client of a request prefers to wait.

    Args:
        request: The request, whose body has been read or is not needed.
        seconds: How long to wait; None if the client prefers an immediate response.
        limit: Limits how many requests wait.
    """

    def __init__(self, request: Request, seconds: int | None, limit: WaitLimit) -> None:
        self.headers: dict[str, str] = {}
        """Headers of the response, which say whether the preference was honored."""
        self._request = request
        self._seconds = seconds
        self._limit = limit

    async def until_finished(
        self,
        changes: AbstractContextManager[asyncio.Event],
        look: Callable[[], Awaitable[T]],
        known: T | None = None,
        pause: float = 0.0,
    ) -> T:
        """Return an object when it is finished, or in its last known state when the time is over.

        The wait ends early, without Preference-Applied, if the client disconnects or loses its
        access, or the server stops. Without a preference, or if too many requests wait, there is no
        wait.

        Args:
            changes: Yields an event that is set whenever the object changes.
            look: Returns the object in its current state.
            known: The object, if the request has just created or found it. Another object with its
                name does not end the wait.
            pause: Minimum number of seconds between two looks, if a look is costly.

        Raises:
            Problem: the first look failed, or the object has been deleted.
        """
        if self._seconds is None or self._limit.is_reached:
            return known or await look()

        started = time.monotonic()
        try:
            with self._limit.counting(), changes as changed:
                return await self._wait(changed, _same_object(look, known), self._seconds, pause)
        finally:
            self._request.scope[WAITED] = time.monotonic() - started

    async def _wait(
        self, changed: asyncio.Event, look: Callable[[], Awaitable[T]], seconds: int, pause: float
    ) -> T:
        interruption = _Interruption(changed)
        found = await look()

        async with interruption.possible(self._request):
            try:
                async with asyncio.timeout(seconds):
                    while not found.finished:
                        await changed.wait()
                        changed.clear()
                        if interruption.happened:
                            return found
                        found = await _look_again(look, found)
                        await asyncio.sleep(0 if found.finished else pause)
            except TimeoutError:
                pass  # the state that is known is the response

        self.headers[APPLIED] = f"wait={seconds}"
        return found


class _Interruption:
    """Ends a wait because the client has left or lost its access, or the server stops."""

    def __init__(self, changed: asyncio.Event) -> None:
        self.happened = False
        self._changed = changed

    def interrupt(self) -> None:
        self.happened = True
        self._changed.set()

    @asynccontextmanager
    async def possible(self, request: Request) -> AsyncIterator[None]:
        """Interrupt the wait in the block when it must end early."""
        call_on_shutdown = request.scope.get(ON_SHUTDOWN)
        if call_on_shutdown:
            call_on_shutdown(self.interrupt)
        listening = asyncio.create_task(self._until_disconnected(request.receive))

        try:
            async with calling_when_refused(request.scope, lambda _: self.interrupt()):
                yield
        finally:
            listening.cancel()
            await asyncio.wait([listening])
            if call_on_shutdown:
                call_on_shutdown(None)

    async def _until_disconnected(self, receive: Receive) -> None:
        # A body that nobody needs is discarded as it arrives.
        while (await receive())["type"] != "http.disconnect":
            pass
        self.interrupt()


def _same_object(look: Callable[[], Awaitable[T]], known: T | None) -> Callable[[], Awaitable[T]]:
    """Return a function that looks, but returns `known` in place of another object.

    A cache that lags may still have a finished object that was deleted, and then created again.
    """
    if known is None:
        return look

    async def look_at_known() -> T:
        found = await look()
        return found if found.metadata.uid == known.metadata.uid else known

    return look_at_known


async def _look_again(look: Callable[[], Awaitable[T]], found: T) -> T:
    """Return the object in its current state or, if that is unavailable, as it was found before.

    Raises:
        Problem: the object has been deleted.
    """
    try:
        return await look()
    except Problem as problem:
        if problem.status == HTTPStatus.NOT_FOUND:
            raise
        return found


async def get_wait(
    request: Request,
    prefer: Annotated[
        list[str] | None,
        Header(
            description=f"`wait=N` delays the response until the object is done or has failed, for "
            f"up to N seconds, at most {MAX_WAIT_SECONDS} (RFC 7240)",
            examples=[["wait=30"]],
        ),
    ] = None,
) -> PreferredWait:
    """Return how long the client prefers to wait.

    The function is async, because FastAPI would otherwise call it in a thread.
    """
    limit: WaitLimit = request.app.state.waits
    return PreferredWait(request, wait_seconds(prefer or ()), limit)


WaitDep = Annotated[PreferredWait, Depends(get_wait)]
