"""Send wrong API keys over many connections that stay open, in a process of its own.

Run this module with `python -m bench.api.wrong_keys PORT PER_SECOND CONNECTIONS ADDRESSES SECONDS`.
It prints a JSON object with what it sent and received.
"""

import asyncio
import json
import socket
import sys
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop
from vision_node_contract.api_keys import new_key

CONNECT_SECONDS = 5.0
"""Time limit for a connection, in seconds."""

BATCH_SECONDS = 0.01
"""How often requests that are due are sent, in seconds."""


@dataclass(slots=True)
class Sent:
    """What was sent and received."""

    requests: int = 0
    answers: int = 0
    connections: int = 0


@dataclass
class _Client(asyncio.Protocol):
    """A connection that sends no request before the last one is answered."""

    sent: Sent
    idle: "list[_Client]"
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.sent.connections += 1
        self.idle.append(self)

    def data_received(self, data: bytes) -> None:
        """Count an answer, which always arrives as one piece on the loopback device."""
        if data.startswith(b"HTTP/1.1 401"):
            self.sent.answers += 1
            self.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.closed.set()

    def send(self, request: bytes) -> bool:
        """Send a request. Return whether the connection was still open."""
        if self.transport is None or self.transport.is_closing():
            return False

        self.transport.write(request)
        self.sent.requests += 1
        return True


async def attack(
    port: int, per_second: int, connections: int, addresses: int, seconds: float
) -> Sent:
    """Send up to `per_second` wrong keys a second for some seconds.

    Args:
        port: Port of the API on the loopback device.
        per_second: Number of requests to send a second, as far as answers arrive.
        connections: Number of connections, which are opened again when the API closes them.
        addresses: Number of source addresses.
        seconds: Duration.
    """
    sent, idle = Sent(), list[_Client]()
    tasks = [
        asyncio.create_task(_stay_connected(port, f"127.0.1.{n % addresses + 1}", sent, idle))
        for n in range(connections)
    ]
    wrong = [_request() for _ in range(1000)]
    loop = asyncio.get_running_loop()
    started = loop.time()

    due = 0.0
    while (elapsed := loop.time() - started) < seconds:
        # What could not be sent in time is not made up for later.
        due = min(per_second * BATCH_SECONDS * 2, due + per_second * BATCH_SECONDS)
        while due >= 1 and idle:
            is_open = idle.pop().send(wrong[sent.requests % len(wrong)])
            due -= is_open
        await asyncio.sleep(max(0.0, started + elapsed + BATCH_SECONDS - loop.time()))

    for task in tasks:
        task.cancel()
    return sent


async def _stay_connected(port: int, address: str, sent: Sent, idle: list[_Client]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        client = _Client(sent, idle)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(
                    lambda it=client: it,  # type: ignore[misc]
                    "127.0.0.1",
                    port,
                    family=socket.AF_INET,
                    local_addr=(address, 0),
                )
            await client.closed.wait()
        except OSError:  # also a timeout
            await asyncio.sleep(BATCH_SECONDS)


def _request() -> bytes:
    key = new_key()[1]
    head = ["GET /status/job-x HTTP/1.1", "Host: api", f"Authorization: Bearer {key}", "", ""]
    return "\r\n".join(head).encode()


if __name__ == "__main__":
    numbers = [int(it) for it in sys.argv[1:]]
    print(json.dumps(asdict(uvloop.run(attack(*numbers)))))
