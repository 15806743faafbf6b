"""The bucket's client against a server that speaks S3's protocol over a real socket."""

import gzip
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from vision_node_contract import store as module
from vision_node_contract.store import ObjectNotFoundError, Store, StoreSettings, StoreUnavailableError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Open = Callable[[Handler], Awaitable[Store]]

REFUSED = '<?xml version="1.0"?><Error><Code>{}</Code><Message>no</Message></Error>'


def settings(endpoint: str) -> StoreSettings:
    return StoreSettings(endpoint, "bucket", "access", "top-secret", secure=False)


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Serve a handler; return a store in it."""
    closing: list[Callable[[], Awaitable[object]]] = []

    async def run(handler: Handler) -> Store:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        opening = Store.open(settings(f"{host}:{port}"))
        store = await opening.__aenter__()
        closing.extend([lambda: opening.__aexit__(None, None, None), runner.cleanup])
        return store

    yield run
    for close in closing:
        await close()


async def test_a_put_is_signed_and_says_what_it_carries(opened: Open) -> None:
    seen: list[web.Request] = []

    async def take(request: web.Request) -> web.Response:
        seen.append(request)
        assert await request.read() == b"image"
        return web.Response()

    await (await opened(take)).put("images/a", b"image", "image/png")
    (request,) = seen
    assert (request.method, request.raw_path) == ("PUT", "/bucket/images/a")
    assert request.headers["Content-Type"] == "image/png"
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(b"image").hexdigest()
    assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=access/")
    assert "top-secret" not in str(request.headers)


@pytest.mark.parametrize("length", ["told", "in chunks"])
@pytest.mark.parametrize(("size", "read"), [(0, 0), (3, 3), (4, 4), (5, 5), (1 << 22, 5)])
async def test_a_get_reads_no_more_than_is_wanted(opened: Open, length: str, size: int, read: int) -> None:
    async def give(request: web.Request) -> web.StreamResponse:
        if length == "told":
            return web.Response(body=b"x" * size)
        answer = web.StreamResponse()
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(b"x" * size)
        return answer

    assert await (await opened(give)).get("images/a", 4) == b"x" * read


async def test_a_get_unpacks_nothing(opened: Open) -> None:
    packed = gzip.compress(b"x" * (1 << 22))

    async def give(_: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    assert await (await opened(give)).get("images/a", 1 << 20) == packed


async def test_a_redirect_is_not_followed(opened: Open) -> None:
    async def give(request: web.Request) -> web.Response:
        if request.path.endswith("/b"):
            return web.Response(body=b"elsewhere")
        return web.Response(status=307, headers={"Location": "/bucket/images/b"})

    with pytest.raises(StoreUnavailableError, match="307"):
        await (await opened(give)).get("images/a", 10)


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (404, REFUSED.format("NoSuchKey"), ObjectNotFoundError, "no such object"),
        (404, REFUSED.format("NoSuchBucket"), StoreUnavailableError, "NoSuchBucket"),
        (403, REFUSED.format("AccessDenied"), StoreUnavailableError, "AccessDenied"),
        (503, "<html>", StoreUnavailableError, "503"),
        (500, "", StoreUnavailableError, "500"),
    ],
)
async def test_refusals(opened: Open, status: int, body: str, error: type[Exception], said: str) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    store = await opened(refuse)
    with pytest.raises(error, match=said):
        await store.get("images/a", 10)
    with pytest.raises(error, match=said):
        await store.put("images/a", b"x", "image/png")


async def test_an_answer_that_breaks_off_is_no_image(opened: Open) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"x")
        assert request.transport
        request.transport.abort()
        return answer

    with pytest.raises(StoreUnavailableError):
        await (await opened(break_off)).get("images/a", 1000)


@pytest.mark.parametrize("key", ["", "../a", "a/../b"])
async def test_a_key_that_no_object_can_have(key: str) -> None:
    async with Store.open(settings("127.0.0.1:9")) as store:
        with pytest.raises(ObjectNotFoundError):
            await store.get(key, 10)


async def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_PAUSES", (0.0, 0.0))
    async with Store.open(settings("127.0.0.1:9")) as store:
        with pytest.raises(StoreUnavailableError, match="ClientConnectorError"):
            await store.get("images/a", 10)
