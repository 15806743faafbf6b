"""Receivers of messages to callbacks, on loopback sockets."""

import asyncio
import base64
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """A request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The id of the message."""
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Records requests, and answers with `status` and `headers`, once `answers` is set."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    open: int = 0
    """Number of requests that are not answered yet."""
    most_open: int = 0
    base: str = ""
    port: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Record a request, and answer it."""
        body = await request.read()
        self.received.append(Received(request.path_qs, dict(request.headers), body))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self.answers.wait()
        finally:
            self.open -= 1

        return web.Response(status=self.status, headers=self.headers, text="secret " * 100)

    @property
    def ids(self) -> list[str]:
        """The ids of the messages, in the order in which they arrived."""
        return [it.id for it in self.received]


@asynccontextmanager
async def receiving(
    host: str = "127.0.0.1", context: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Receiver]:
    """Run a receiver, which answers at once."""
    receiver = Receiver()
    receiver.answers.set()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=context)
        await site.start()
        receiver.port = runner.addresses[0][1]
        scheme = "https" if context else "http"
        receiver.base = f"{scheme}://{host}:{receiver.port}"
        yield receiver
    finally:
        receiver.answers.set()
        await runner.cleanup()


def verified(received: Received, secret: str) -> bool:
    """Return whether a message was signed with a secret, as Standard Webhooks defines it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    headers = received.headers
    content = b".".join(
        [headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), received.body]
    )
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return f"v1,{expected}" in headers["webhook-signature"].split(" ")
