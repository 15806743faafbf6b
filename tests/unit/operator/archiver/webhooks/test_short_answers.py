"""Only the head of an answer is received, with the loop of the archiver (uvloop) and Python's."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import trustme
import uvloop
from vision_node_contract.callbacks.urls import CallbackRules
from vision_node_operator.archiver.webhooks.sender import Outcome, Sender
from vision_node_operator.archiver.webhooks.turns import Place

ADDRESS = "127.0.0.1"
PLACE = Place("", "hooks.example.com")
RULES = CallbackRules((ip_network(ADDRESS),), allow_http=True)

Run = Callable[[Coroutine[Any, Any, None]], None]
both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


@asynccontextmanager
async def answering(*pieces: bytes, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Yield the port of a receiver that answers with all pieces; the last one has no end."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces[:-1]:
                writer.write(piece)
            while not writer.is_closing():
                writer.write(pieces[-1])
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, ADDRESS, 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


def sender(threads: ThreadPoolExecutor, context: ssl.SSLContext) -> Sender:
    return Sender(RULES, context, threads, lambda _: [ip_address(ADDRESS)])


@both_loops
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,), "ConnectionLost"),
        ((b"HTTP/1.1 200 OK\r\n", b"X: " + b"a" * 4000 + b"\r\n"), "ConnectionLost"),
        ((b"HTTP/1.1 202 Accepted\r\nContent-Length: 99999999\r\n\r\n", b"x" * 99_999), None),
    ],
)
def test_answer_without_an_end_is_short(
    threads: ThreadPoolExecutor, run: Run, scheme: str, pieces: tuple[bytes], expected: str | None
) -> None:
    """Otherwise, parsing it takes the time of everything else that the archiver does."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example.com").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def work() -> None:
        server = context if scheme == "https" else None
        async with answering(*pieces, context=server) as port, asyncio.timeout(60):
            url = f"{scheme}://hooks.example.com:{port}/"
            outcome = await sender(threads, trusting).send(url, {}, b"{}", PLACE)
        assert (outcome.error or "").partition(":")[0] == (expected or "")
        assert outcome.status == (None if expected else 202)

    run(work())


@both_loops
def test_long_answer_is_an_answer(threads: ThreadPoolExecutor, run: Run) -> None:
    """Its head counts, even if all of it arrives at once."""
    answer = b"HTTP/1.1 202 Accepted\r\nX: " + b"a" * 7000 + b"\r\n\r\n" + b"x" * 3_000_000

    async def work() -> None:
        async with answering(answer, b"x" * 65_536) as port, asyncio.timeout(60):
            sending = sender(threads, ssl.create_default_context())
            for _ in range(20):
                outcome = await sending.send(f"http://h.example.com:{port}/", {}, b"{}", PLACE)
                assert outcome == Outcome(202)

    run(work())
