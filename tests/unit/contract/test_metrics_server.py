"""Tests of the server for metrics, on real sockets: what it answers, and its limits."""

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from vision_node_contract.listening import listen
from vision_node_contract.metrics import server

TEXT = b"# HELP a A.\n# TYPE a gauge\na 1.0\n"
TIMEOUT_SECONDS = 20.0


def free_port() -> int:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        found: int = taken.getsockname()[1]
    return found


@pytest.fixture
async def port() -> AsyncIterator[int]:
    found = free_port()
    async with server.serving(listen(found), lambda: TEXT):
        yield found


async def ask(port: int, method: str, path: str, host: str = "127.0.0.1") -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, f"http://{host}:{port}{path}") as answer,
    ):
        return answer.status, await answer.read()


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/metrics", 200, TEXT),
        ("HEAD", "/metrics", 200, b""),
        ("POST", "/metrics", 405, None),
        ("GET", "/", 404, None),
        ("GET", "/metrics/a", 404, None),
    ],
)
async def test_only_get_and_head_of_the_metrics_are_answered(
    port: int, method: str, path: str, status: int, body: bytes | None
) -> None:
    found = await ask(port, method, path)
    assert found[0] == status
    assert body is None or found[1] == body


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_metrics_are_served_over_ipv4_and_ipv6(port: int, host: str) -> None:
    assert await ask(port, "GET", "/metrics", host) == (200, TEXT)


async def test_content_type_is_prometheus_text_format(port: int) -> None:
    url = f"http://127.0.0.1:{port}/metrics"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["Connection"] == "close"


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Return what the server sends until it closes the connection."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


SLOW: dict[str, bytes] = {
    "a client that sends nothing": b"",
    "a client that sends half of a request": b"GET /metrics HTTP/1.1\r\nHost: a\r\n",
    "a client that sends no body": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
}


@pytest.mark.parametrize("case", SLOW)
async def test_slow_client_is_disconnected(
    port: int, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(server, "CONNECTION_SECONDS", 0.01)
    found = free_port()
    async with server.serving(listen(found), lambda: TEXT):
        reader, writer = await asyncio.open_connection("127.0.0.1", found)
        writer.write(SLOW[case])
        assert b"200 OK" not in await rest_of(reader)
        writer.close()


async def test_client_that_does_not_read_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection would otherwise hold the text for as long as the client wants."""
    monkeypatch.setattr(server, "CONNECTION_SECONDS", 0.01)
    found = free_port()
    large = b"a" * (1 << 26)  # more than the kernel's buffers hold
    lost = asyncio.Event()

    class Deaf(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            transport.pause_reading()
            self.transport = transport

        def connection_lost(self, error: Exception | None) -> None:
            lost.set()

    async with server.serving(listen(found), lambda: large):
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(Deaf, "127.0.0.1", found)
        await asyncio.sleep(0)
        # A reset is noticed by writing, since nothing is read.
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not lost.is_set():
                client.transport.write(b"x")
                await asyncio.sleep(0.01)


async def test_connections_are_limited_and_the_next_ones_are_closed(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(server.MAX_CONNECTIONS)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await rest_of(reader) == b""
    writer.close()

    for _, each in held:
        each.close()
        await each.wait_closed()
    assert await ask(port, "GET", "/metrics") == (200, TEXT)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x00\xff\r\n\r\n",
    ],
    ids=["long header", "long path", "not HTTP"],
)
async def test_malformed_or_large_request_is_refused(port: int, request_bytes: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_bytes)
    assert (await rest_of(reader)).startswith(b"HTTP/1.0 400")
    writer.close()


async def test_server_closes_its_sockets_and_connections() -> None:
    found = free_port()
    async with server.serving(listen(found), lambda: TEXT):
        reader, writer = await asyncio.open_connection("127.0.0.1", found)

    assert await rest_of(reader) == b""
    writer.close()
    for each in listen(found):
        each.close()
