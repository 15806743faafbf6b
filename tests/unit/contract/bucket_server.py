"""A fake bucket server and calls to it, for the tests of connections and credentials."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from vision_node_contract.clients.bucket import Bucket, BucketSettings

LISTED = (
    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
)

Use = Callable[[Bucket], Awaitable[object]]

USES: dict[str, Use] = {
    "get": lambda bucket: bucket.get("images/a", 10),
    "put": lambda bucket: bucket.put("images/a", b"image", "image/png"),
    "list": lambda bucket: anext(bucket.list_all("images/")),
}
"""Calls that read an object, write an object, and list objects."""

every_use = pytest.mark.parametrize("use", USES)


class FakeBucketServer:
    """A server that records every request and responds to it."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.refuses: dict[str, str] = {}
        """The error code for each session token that the server refuses."""

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        await request.read()
        if code := self.refuses.get(request.headers.get("x-amz-security-token", "")):
            return web.Response(status=400, text=f"<Error><Code>{code}</Code></Error>")
        if "list-type" in request.query:
            return web.Response(text=LISTED, content_type="application/xml")
        return web.Response(body=b"object")


@asynccontextmanager
async def served(
    handler: Callable[[web.Request], Awaitable[web.Response]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve a handler and yield its address as `host:port`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    host, port = runner.addresses[0][:2]

    try:
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


def settings(endpoint: str, *, secure: bool = False) -> BucketSettings:
    return BucketSettings(endpoint, "bucket", "access", "top-secret", secure=secure)
