"""Tests of how a watch is split into lines."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain

import aiohttp
import pytest
from aiohttp import web
from vision_node_contract.clients import watch_lines
from vision_node_contract.clients.watch_lines import lines_of


@asynccontextmanager
async def response_of(pieces: Sequence[bytes]) -> AsyncIterator[aiohttp.ClientResponse]:
    """Serve a body whose pieces arrive one by one, and yield the response."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0.005)
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{host}:{port}/") as response,
        ):
            yield response
    finally:
        await runner.cleanup()


async def groups(pieces: Sequence[bytes], pause: float = 0) -> list[list[bytes]]:
    async with response_of(pieces) as response:
        return [lines async for lines in lines_of(response, pause)]


@pytest.mark.parametrize("pause", [0, 0.01])
@pytest.mark.parametrize(
    "pieces",
    [
        [b"a\nb\nc\n"],
        [b"a\n", b"b\n", b"c\n"],
        [b"a", b"\nb", b"\n", b"c\n"],
        [b"a\nb\nc", b"\n"],
    ],
)
async def test_lines_are_complete_wherever_the_body_is_split(
    pieces: list[bytes], pause: float
) -> None:
    assert [*chain(*await groups(pieces, pause))] == [b"a", b"b", b"c"]


async def test_lines_that_arrive_during_a_pause_come_together() -> None:
    found = await groups([b"%d\n" % number for number in range(40)], pause=0.5)
    assert [*chain(*found)] == [b"%d" % number for number in range(40)]
    assert len(found) < 40


async def test_carriage_returns_do_not_end_lines() -> None:
    assert await groups([b"a\rb\n"]) == [[b"a\rb"]]


async def test_body_that_ends_within_a_line_is_an_error() -> None:
    with pytest.raises(ValueError, match="within a line"):
        await groups([b"a\nb"])


async def test_line_that_is_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_lines, "MAX_LINE_BYTES", 100)
    with pytest.raises(ValueError, match="more than 100 bytes"):
        await groups([b"a\n", b"b" * 60, b"b" * 60, b"\n"])
