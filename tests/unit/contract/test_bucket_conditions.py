"""The bucket's client: metadata of objects, and conditional writes."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from fakes.s3 import S3, serving_s3
from vision_node_contract.clients.bucket import (
    Bucket,
    BucketSettings,
    ObjectChangedError,
    ObjectNotFoundError,
    StoreUnavailableError,
)
from vision_node_contract.models.reasons import Reason

KEY = "inbox/a.png"
DATA = b"image"
SHA256 = hashlib.sha256(DATA).hexdigest()


UNCONDITIONAL: dict[str, Callable[[Bucket], Awaitable[object]]] = {
    "get": lambda store: store.get(KEY, 10),
    "put": lambda store: store.put(KEY, DATA, "image/png"),
    "delete": lambda store: store.delete(KEY),
    "list": lambda store: store.list_page("inbox/", "", 10),
    "list older": lambda store: store.list_older("inbox/", datetime.now(UTC)),
    "stat": lambda store: store.stat(KEY),
}


@pytest.fixture
def store(behind: tuple[S3, Bucket]) -> Bucket:
    return behind[1]


async def test_what_is_known_of_an_object(s3: S3, store: Bucket) -> None:
    await store.put_if(KEY, DATA, "image/png", SHA256, None)
    found = await store.stat(KEY)
    assert (found.key, found.size_bytes, found.media_type, found.sha256) == (
        KEY,
        5,
        "image/png",
        SHA256,
    )
    assert found.etag == s3.objects[KEY].etag
    assert abs(found.modified - datetime.now(UTC)) < timedelta(seconds=5)


async def test_an_object_that_something_else_has_put_there(s3: S3, store: Bucket) -> None:
    s3.put(KEY, b"")
    found = await store.stat(KEY)
    assert (found.size_bytes, found.sha256) == (0, None)


async def test_an_object_that_is_not_there(store: Bucket) -> None:
    with pytest.raises(ObjectNotFoundError):
        await store.stat(KEY)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (404, "NoSuchBucket", Reason.BUCKET_NOT_FOUND),
        (403, "AccessDenied", Reason.STORAGE_DENIED),
        (503, "SlowDown", Reason.STORAGE_UNAVAILABLE),
    ],
)
async def test_a_refusal_of_head_says_why(
    s3: S3, store: Bucket, status: int, code: str, reason: Reason
) -> None:
    s3.fails = status, code
    with pytest.raises(StoreUnavailableError) as caught:
        await store.stat(KEY)
    assert (caught.value.reason, caught.value.code) == (reason, code)


@pytest.mark.parametrize("present", [True, False])
async def test_a_new_object_replaces_none(s3: S3, store: Bucket, present: bool) -> None:  # noqa: FBT001
    if present:
        s3.put(KEY, b"other")
        with pytest.raises(ObjectChangedError):
            await store.put_if(KEY, DATA, "image/png", SHA256, None)
    else:
        await store.put_if(KEY, DATA, "image/png", SHA256, None)
    assert s3.objects[KEY].data == (b"other" if present else DATA)


async def test_what_was_read_is_what_is_replaced(s3: S3, store: Bucket) -> None:
    s3.put(KEY, b"first")
    etag = (await store.stat(KEY)).etag
    s3.put(KEY, b"second")
    with pytest.raises(ObjectChangedError):
        await store.put_if(KEY, DATA, "image/png", SHA256, etag)
    await store.put_if(KEY, DATA, "image/png", SHA256, (await store.stat(KEY)).etag)
    assert s3.objects[KEY].data == DATA


async def test_an_object_that_is_gone_can_not_be_replaced(s3: S3, store: Bucket) -> None:
    s3.put(KEY, b"first")
    etag = (await store.stat(KEY)).etag
    del s3.objects[KEY]
    with pytest.raises(ObjectChangedError):
        await store.put_if(KEY, DATA, "image/png", SHA256, etag)


async def test_a_store_without_conditional_writes_gets_plain_ones(s3: S3, store: Bucket) -> None:
    s3.conditions = "unknown"
    await store.put_if(KEY, DATA, "image/png", SHA256, None)
    assert s3.objects[KEY].data == DATA


@pytest.mark.parametrize(
    "refused", [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")]
)
@pytest.mark.parametrize("use", UNCONDITIONAL)
async def test_only_a_conditional_write_can_come_too_late(
    s3: S3, store: Bucket, use: str, refused: tuple[int, str]
) -> None:
    """Who asked for nothing like it (the operator's sweeps, a worker) takes it for any other failure."""
    s3.fails = refused
    with pytest.raises(StoreUnavailableError):
        await UNCONDITIONAL[use](store)


async def test_an_object_that_is_stored_while_it_is_looked_for(
    s3: S3, store: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    read = S3.read

    def slow(self: S3, request: web.Request, key: str) -> web.StreamResponse:
        looked.append(request.method)
        answer = read(self, request, key)
        s3.put(KEY, DATA)
        return answer

    monkeypatch.setattr(S3, "read", slow)
    assert (await store.stat(KEY)).size_bytes == len(DATA)
    assert looked == ["HEAD", "GET", "HEAD"]


@pytest.mark.parametrize("zone", ["+0000", "-0000"])
async def test_a_time_is_in_utc_whether_the_server_says_so_or_not(
    monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    """A time without a zone can't be compared with others: that would end the operator."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    told = "Fri, 02 Jan 2026 03:04:05 " + zone

    async def answer(self: S3, request: web.Request) -> web.Response:
        if request.method == "HEAD":
            return web.Response(headers={"Last-Modified": told, "Content-Length": "0"})
        entry = f"<Contents><Key>{KEY}</Key><Size>0</Size><LastModified>2026-01-02T03:04:05</LastModified>"
        is_last = "<IsTruncated>false</IsTruncated>"
        return web.Response(
            text=f"<ListBucketResult>{is_last}{entry}</Contents></ListBucketResult>"
        )

    monkeypatch.setattr(S3, "answer", answer)

    async with serving_s3() as (_, settings), Bucket.open(settings) as store:
        assert (await store.stat(KEY)).modified == moment
        assert [it.modified for it in (await store.list_page("inbox/", "", 10)).objects] == [moment]


@pytest.mark.parametrize(
    "told", [None, "", "yesterday", "Wed, 21 Oct 2015 07:28:00 +99999999999999"]
)
async def test_headers_that_make_no_sense_are_no_answer(
    monkeypatch: pytest.MonkeyPatch, told: str | None
) -> None:
    async def answer(self: S3, request: web.Request) -> web.Response:
        said = {} if told is None else {"Last-Modified": told}
        return web.Response(headers={"Content-Length": "0", **said})

    monkeypatch.setattr(S3, "answer", answer)

    async with serving_s3() as (_, settings), Bucket.open(settings) as store:
        with pytest.raises(StoreUnavailableError):
            await store.stat(KEY)


async def test_lists_come_in_pages_in_the_order_of_keys(s3: S3, store: Bucket) -> None:
    keys = sorted(["inbox/a b", "inbox/a+b", "inbox/a%b", "inbox/ä", "inbox/b/c"], key=str.encode)
    for key in [*keys, "images/1", "inboy"]:
        s3.put(key)

    seen, after, pages = [], "", 0
    while True:
        page = await store.list_page("inbox/", after, 2)
        seen += [it.key for it in page.objects]
        pages += 1
        if page.is_last:
            break
        after = seen[-1]

    assert (seen, pages) == (keys, 3)


async def test_an_entry_of_a_list(s3: S3, store: Bucket) -> None:
    modified = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    s3.put(KEY, DATA, modified)
    page = await store.list_page("inbox/", "", 1000)
    (entry,) = page.objects
    assert (entry.key, entry.size_bytes, entry.modified) == (KEY, 5, modified)
    assert page.is_last


async def test_a_list_of_nothing(store: Bucket) -> None:
    assert (await store.list_page("inbox/", "", 1000)).objects == []


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
BILLION_LAUGHS = (
    f'<!DOCTYPE l [<!ENTITY a0 "ha">{ENTITIES}]>'
    "<ListBucketResult><IsTruncated>&a9;</IsTruncated></ListBucketResult>"
)
"""Entities that expand to 2 GB."""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "<html></html>",
        "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>inbox/a</Key><Size>x</Size>"
        "<LastModified>2026-01-02T03:04:05Z</LastModified></Contents></ListBucketResult>",
        BILLION_LAUGHS,
    ],
)
async def test_what_is_no_list(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(self: S3, request: web.Request) -> web.Response:
        return web.Response(text=text)

    monkeypatch.setattr(S3, "answer", answer)
    async with serving_s3() as (_, settings), Bucket.open(settings) as store:
        with pytest.raises(StoreUnavailableError):
            await store.list_page("inbox/", "", 1000)


async def test_what_is_older_is_listed_page_by_page(s3: S3, store: Bucket) -> None:
    s3.page = 2
    moment = datetime(2026, 1, 8, tzinfo=UTC)
    for number in range(5):
        s3.put(f"images/{number}", modified=moment - timedelta(days=1))
    s3.put("images/young", modified=moment)
    s3.put("inbox/another", modified=moment - timedelta(days=1))
    assert await store.list_older("images/", moment) == [f"images/{number}" for number in range(5)]


async def test_a_bucket_that_begins_its_list_again_and_again_is_no_list_without_end() -> None:
    modified = "<LastModified>2026-01-08T00:00:00Z</LastModified>"
    entry = f"<Contents><Key>images/a</Key>{modified}<Size>1</Size></Contents>"

    async def answer(_: web.Request) -> web.Response:
        page = f"<ListBucketResult><IsTruncated>true</IsTruncated>{entry}</ListBucketResult>"
        return web.Response(text=page, content_type="application/xml")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    settings = BucketSettings(f"{host}:{port}", "bucket", "access", "secret", secure=False)

    async with Bucket.open(settings) as store:
        with pytest.raises(StoreUnavailableError, match="again and again"):
            await store.list_older("images/", datetime.now(UTC))

    await runner.cleanup()
