"""An HTTP proxy on a loopback socket.

It forwards requests, and opens tunnels for CONNECT requests (RFC 9110, section 9.3.6).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

MAX_HEAD_BYTES = 1 << 16
CHUNK_BYTES = 1 << 16


class Proxy:
    """A proxy that records the method, target and credentials of each request."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.credentials: list[str | None] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        self.requests.append(f"{method} {target}")
        headers = {
            name.lower(): value for name, value in (line.split(": ", 1) for line in lines if line)
        }
        self.credentials.append(headers.pop("proxy-authorization", None))

        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            upstream = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            url = urlsplit(target)
            upstream = await asyncio.open_connection(url.hostname, url.port)
            path = url.path + (f"?{url.query}" if url.query else "")
            forwarded = "".join(
                f"{name}: {value}\r\n" for name, value in {**headers, "connection": "close"}.items()
            )
            upstream[1].write(f"{method} {path} {version}\r\n{forwarded}\r\n".encode("latin-1"))

        await asyncio.gather(_copy(reader, upstream[1]), _copy(upstream[0], writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(CHUNK_BYTES):
            target.write(data)
            await target.drain()
    except ConnectionError:
        pass  # one side closed its connection, and `finally` closes the other one
    finally:
        target.close()


@asynccontextmanager
async def proxying() -> AsyncIterator[Proxy]:
    """Run a proxy for the duration of the block."""
    proxy = Proxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
