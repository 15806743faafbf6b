"""End responses that wait, or have no end, soon after their client has lost its access.

A key may be revoked or expire, and rights may be withdrawn, while a response is being sent.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.types import Scope

from .problems import Problem

REQUIRE_ACCESS = "vision_node.require_access"
"""Key in the scope under which an async function is stored that raises a Problem if the client may
not send the request any more. It is missing if clients are not authenticated."""

CHECK_SECONDS = 5.0
"""Time between two checks in seconds. A check of an API key takes up to 60 microseconds, so those
of a thousand clients take about one percent of a core."""

RequireAccess = Callable[[], Awaitable[None]]


@asynccontextmanager
async def while_allowed(scope: Scope) -> AsyncIterator[None]:
    """Cancel the block as soon as the client may not send the request any more.

    Without authentication, this does nothing.

    Raises:
        Problem: why it may not: 401 Unauthenticated; 403 Forbidden; 503 AuthenticationUnavailable.
    """
    if REQUIRE_ACCESS not in scope:
        yield
        return

    problems: list[Problem] = []

    def refuse(problem: Problem) -> None:
        problems.append(problem)
        limit.reschedule(0)

    try:
        async with asyncio.timeout(None) as limit, calling_when_refused(scope, refuse):
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise problems[0] from None


@asynccontextmanager
async def calling_when_refused(
    scope: Scope, refused: Callable[[Problem], None]
) -> AsyncIterator[None]:
    """Call a function if, during the block, the client may not send the request any more.

    Args:
        scope: The request.
        refused: Takes the problem that says why. It is called once at most.
    """
    require: RequireAccess | None = scope.get(REQUIRE_ACCESS)
    if require is None:
        yield
        return

    checking = asyncio.create_task(_check(require, refused))
    try:
        yield
    finally:
        checking.cancel()
        await asyncio.wait([checking])


async def _check(require: RequireAccess, refused: Callable[[Problem], None]) -> None:
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        try:
            await require()
        except Problem as problem:
            refused(problem)
            return
