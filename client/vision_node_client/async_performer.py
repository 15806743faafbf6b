"""Perform the steps of flows in an event loop, which is never blocked."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

import httpx

from .protocol.messages import Reply, Request
from .protocol.running import Running
from .protocol.steps import (
    Do,
    Flow,
    Give,
    NextChunk,
    Open,
    Parallel,
    Send,
    Sleep,
    Step,
)
from .transport import build_request, reply_of, transport_error

T = TypeVar("T")


async def run(http: httpx.AsyncClient, flow: Flow[T]) -> T:
    """Perform all steps of a flow, and return its value."""
    running = Running(flow)
    async with aclosing(AsyncPerformer(http)) as performer:
        while running.step is not None:
            await performer.advance(running, running.step)

    return running.value


async def iterate(http: httpx.AsyncClient, flow: Flow[None]) -> AsyncIterator[Any]:
    """Perform all steps of a flow, and yield what it gives."""
    running = Running(flow)
    async with aclosing(AsyncPerformer(http)) as performer:
        while running.step is not None:
            if isinstance(running.step, Give):
                yield running.step.value
                running.send(None)
            else:
                await performer.advance(running, running.step)


class AsyncPerformer:
    """Performs the steps of one flow in an event loop, which it never blocks."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._stream: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def advance(self, running: Running[Any], step: Step) -> None:
        """Perform the step of a flow, and let the flow go on."""
        try:
            result = await self.perform(step)
        except Exception as error:  # noqa: BLE001 (the flow handles or raises it)
            running.throw(error)
        else:
            running.send(result)

    async def perform(self, step: Step) -> Any:
        """Perform a step, and return its result."""
        match step:
            case Send(request):
                return await self._send(request)
            case Open(request):
                return await self._open(request)
            case NextChunk():
                return await self._next_chunk()
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case Do(function):
                return await asyncio.to_thread(function)
            case Parallel(flows, limit):
                await _run_in_tasks(self._http, flows, limit)
            case Give():
                raise TypeError("only iterators can give values")

        return None

    async def aclose(self) -> None:
        """Close the open response, if there is one."""
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None

    async def _send(self, request: Request) -> Reply:
        async with self._errors():
            response = await self._http.send(build_request(self._http, request))

        return reply_of(response, response.content)

    async def _open(self, request: Request) -> Reply:
        await self.aclose()
        async with self._errors():
            built = build_request(self._http, request, is_stream=True)
            response = self._stream = await self._http.send(built, stream=True)
            if response.is_success:
                self._chunks = response.aiter_bytes()
                return reply_of(response, b"")
            return reply_of(response, await response.aread())

    async def _next_chunk(self) -> bytes:
        if self._chunks is None:
            return b""
        async with self._errors():
            return await anext(self._chunks, b"")

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        try:
            yield
        except httpx.RequestError as error:
            raise transport_error(error, self._http) from error


async def _run_in_tasks(http: httpx.AsyncClient, flows: Iterable[Flow[None]], limit: int) -> None:
    """Run flows in up to `limit` tasks. After an error, the other ones are cancelled."""
    waiting = iter(flows)

    async def work() -> None:
        for flow in waiting:
            await run(http, flow)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(limit):
                group.create_task(work())
    except ExceptionGroup as errors:
        # The others are about the same problem, and callers expect a plain error.
        raise errors.exceptions[0] from None
