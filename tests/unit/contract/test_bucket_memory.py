"""Tests of the memory that storing a large object takes."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from bucket_server import settings
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.bucket_body import PIECE_BYTES

SIZE = 8 * PIECE_BYTES + 1


class Receiver:
    """A server that does not read a request's body until `proceed` is set."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.proceed = asyncio.Event()
        self.head = b""
        self.body_matches = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = await reader.readuntil(b"\r\n\r\n")
        self.called.set()
        await self.proceed.wait()

        left = SIZE
        self.body_matches = True

        while left:
            piece = await reader.read(min(left, 1 << 16))
            start = SIZE - left
            self.body_matches &= piece == IMAGE[start : start + len(piece)]
            left -= len(piece)

        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with server:
            yield f"{host}:{port}"


IMAGE = memoryview(bytes(range(251)) * (SIZE // 251 + 1))[:SIZE].tobytes()
"""An image in which each piece is different."""


@pytest.fixture
async def receiver() -> Receiver:
    return Receiver()


async def test_large_object_is_sent_without_a_copy_of_it(receiver: Receiver) -> None:
    """The copy would exist for as long as the bucket takes."""
    async with receiver.serving() as endpoint, Bucket.open(settings(endpoint)) as bucket:
        tracemalloc.start()
        try:
            put = asyncio.create_task(bucket.put("images/a", IMAGE, "image/png", "0" * 64))
            await receiver.called.wait()
            receiver.proceed.set()
            await put
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert receiver.body_matches
    assert peak < 3 * PIECE_BYTES


async def test_large_object_is_sent_with_its_length(receiver: Receiver) -> None:
    """S3 accepts no chunked bodies (Transfer-Encoding) without a length."""
    receiver.proceed.set()
    async with receiver.serving() as endpoint, Bucket.open(settings(endpoint)) as bucket:
        await bucket.put("images/a", IMAGE, "image/png", "0" * 64)

    head = receiver.head.lower()
    assert b"content-length: %d\r\n" % SIZE in head
    assert b"transfer-encoding" not in head
    assert b"content-type: image/png\r\n" in head
    assert receiver.body_matches
