"""Tests of the bucket client: object metadata, lists, and conditional writes."""

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
from vision_node_contract.clients.bucket_errors import parse_refusal
from vision_node_contract.models.reasons import Reason

KEY = "inbox/a.png"
DATA = b"image"
SHA256 = hashlib.sha256(DATA).hexdigest()

UNCONDITIONAL: dict[str, Callable[[Bucket], Awaitable[object]]] = {
    "get": lambda bucket: bucket.get(KEY, 10),
    "put": lambda bucket: bucket.put(KEY, DATA, "image/png"),
    "delete": lambda bucket: bucket.delete(KEY),
    "list": lambda bucket: bucket.list_page("inbox/", "", 10),
    "list all": lambda bucket: anext(bucket.list_all("inbox/")),
    "stat": lambda bucket: bucket.stat(KEY),
}


@pytest.fixture
def bucket(behind: tuple[S3, Bucket]) -> Bucket:
    return behind[1]


async def test_stat_returns_metadata(s3: S3, bucket: Bucket) -> None:
    await bucket.put_if(KEY, DATA, "image/png", SHA256, None)
    found = await bucket.stat(KEY)
    assert (found.key, found.size_bytes, found.media_type, found.sha256) == (
        KEY,
        5,
        "image/png",
        SHA256,
    )
    assert found.etag == s3.objects[KEY].etag
    assert abs(found.modified - datetime.now(UTC)) < timedelta(seconds=5)


async def test_stat_of_an_object_from_another_program_has_no_sha256(s3: S3, bucket: Bucket) -> None:
    s3.put(KEY, b"")
    found = await bucket.stat(KEY)
    assert (found.size_bytes, found.sha256) == (0, None)


async def test_stat_of_a_missing_object_raises_not_found(bucket: Bucket) -> None:
    with pytest.raises(ObjectNotFoundError):
        await bucket.stat(KEY)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (404, "NoSuchBucket", Reason.BUCKET_NOT_FOUND),
        (403, "AccessDenied", Reason.STORAGE_DENIED),
        (503, "SlowDown", Reason.STORAGE_UNAVAILABLE),
    ],
)
async def test_error_from_stat_contains_the_reason_of_the_refusal(
    s3: S3, bucket: Bucket, status: int, code: str, reason: Reason
) -> None:
    s3.fails = status, code
    with pytest.raises(StoreUnavailableError) as caught:
        await bucket.stat(KEY)
    assert (caught.value.reason, caught.value.code) == (reason, code)


@pytest.mark.parametrize("present", [True, False])
async def test_new_object_does_not_replace_an_existing_one(
    s3: S3,
    bucket: Bucket,
    present: bool,  # noqa: FBT001
) -> None:
    if present:
        s3.put(KEY, b"other")
        with pytest.raises(ObjectChangedError):
            await bucket.put_if(KEY, DATA, "image/png", SHA256, None)
    else:
        await bucket.put_if(KEY, DATA, "image/png", SHA256, None)
    assert s3.objects[KEY].data == (b"other" if present else DATA)


async def test_only_the_version_that_was_read_is_replaced(s3: S3, bucket: Bucket) -> None:
    s3.put(KEY, b"first")
    etag = (await bucket.stat(KEY)).etag
    s3.put(KEY, b"second")
    with pytest.raises(ObjectChangedError):
        await bucket.put_if(KEY, DATA, "image/png", SHA256, etag)
    await bucket.put_if(KEY, DATA, "image/png", SHA256, (await bucket.stat(KEY)).etag)
    assert s3.objects[KEY].data == DATA


async def test_deleted_object_is_not_replaced(s3: S3, bucket: Bucket) -> None:
    s3.put(KEY, b"first")
    etag = (await bucket.stat(KEY)).etag
    del s3.objects[KEY]
    with pytest.raises(ObjectChangedError):
        await bucket.put_if(KEY, DATA, "image/png", SHA256, etag)


async def test_server_without_conditional_writes_gets_a_plain_put(s3: S3, bucket: Bucket) -> None:
    s3.conditions = "unknown"
    await bucket.put_if(KEY, DATA, "image/png", SHA256, None)
    assert s3.objects[KEY].data == DATA


@pytest.mark.parametrize(
    "refused", [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")]
)
@pytest.mark.parametrize("use", UNCONDITIONAL)
async def test_only_conditional_writes_raise_object_changed(
    s3: S3, bucket: Bucket, use: str, refused: tuple[int, str]
) -> None:
    """Callers such as the garbage collector handle these refusals like any other failure."""
    s3.fails = refused
    with pytest.raises(StoreUnavailableError):
        await UNCONDITIONAL[use](bucket)


@pytest.mark.parametrize("body", [b"", b"<html>Precondition Failed</html>"])
def test_status_of_an_unmet_condition_needs_no_error_code(body: bytes) -> None:
    """A proxy may replace the body, and the answer to HEAD has none."""
    assert isinstance(parse_refusal(412, body, conditional=True), ObjectChangedError)
    assert isinstance(parse_refusal(412, body, conditional=False), StoreUnavailableError)


async def test_stat_finds_an_object_that_is_stored_during_the_lookup(
    s3: S3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods: list[str] = []
    read = S3.read

    def read_then_store(self: S3, request: web.Request, key: str) -> web.StreamResponse:
        methods.append(request.method)
        answer = read(self, request, key)
        s3.put(KEY, DATA)
        return answer

    monkeypatch.setattr(S3, "read", read_then_store)
    assert (await bucket.stat(KEY)).size_bytes == len(DATA)
    assert methods == ["HEAD", "GET", "HEAD"]


@pytest.mark.parametrize("zone", ["+0000", "-0000"])
async def test_times_without_a_zone_are_utc(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """The operator would crash if it compared a time without a zone to a time that has one."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    last_modified = "Fri, 02 Jan 2026 03:04:05 " + zone

    async def answer(self: S3, request: web.Request) -> web.Response:
        if request.method == "HEAD":
            return web.Response(headers={"Last-Modified": last_modified, "Content-Length": "0"})

        modified = "<LastModified>2026-01-02T03:04:05</LastModified>"
        entry = f"<Contents><Key>{KEY}</Key><Size>0</Size>{modified}"
        is_last = "<IsTruncated>false</IsTruncated>"
        return web.Response(
            text=f"<ListBucketResult>{is_last}{entry}</Contents></ListBucketResult>"
        )

    monkeypatch.setattr(S3, "answer", answer)

    async with serving_s3() as (_, settings), Bucket.open(settings) as bucket:
        assert (await bucket.stat(KEY)).modified == moment
        assert [it.modified for it in (await bucket.list_page("inbox/", "", 10)).objects] == [
            moment
        ]


@pytest.mark.parametrize(
    "modified", [None, "", "yesterday", "Wed, 21 Oct 2015 07:28:00 +99999999999999"]
)
async def test_invalid_modification_time_of_an_object_raises_an_error(
    monkeypatch: pytest.MonkeyPatch, modified: str | None
) -> None:
    async def answer(self: S3, request: web.Request) -> web.Response:
        extra = {} if modified is None else {"Last-Modified": modified}
        return web.Response(headers={"Content-Length": "0", **extra})

    monkeypatch.setattr(S3, "answer", answer)

    async with serving_s3() as (_, settings), Bucket.open(settings) as bucket:
        with pytest.raises(StoreUnavailableError):
            await bucket.stat(KEY)


async def test_lists_are_paged_and_sorted_by_key(s3: S3, bucket: Bucket) -> None:
    keys = sorted(["inbox/a b", "inbox/a+b", "inbox/a%b", "inbox/ä", "inbox/b/c"], key=str.encode)
    for key in [*keys, "images/1", "inboy"]:
        s3.put(key)

    seen, after, pages = [], "", 0
    while True:
        page = await bucket.list_page("inbox/", after, 2)
        seen += [it.key for it in page.objects]
        pages += 1
        if page.is_last:
            break
        after = seen[-1]

    assert (seen, pages) == (keys, 3)


async def test_list_entry_has_size_and_time(s3: S3, bucket: Bucket) -> None:
    modified = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    s3.put(KEY, DATA, modified)
    page = await bucket.list_page("inbox/", "", 1000)
    (entry,) = page.objects
    assert (entry.key, entry.size_bytes, entry.modified) == (KEY, 5, modified)
    assert page.is_last


async def test_list_without_matching_keys_is_empty(bucket: Bucket) -> None:
    assert (await bucket.list_page("inbox/", "", 1000)).objects == []


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
BILLION_LAUGHS = (
    f'<!DOCTYPE l [<!ENTITY a0 "ha">{ENTITIES}]>'
    "<ListBucketResult><IsTruncated>&a9;</IsTruncated></ListBucketResult>"
)
"""An XML document whose entities expand to 2 GB."""


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
async def test_invalid_list_raises_an_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(self: S3, request: web.Request) -> web.Response:
        return web.Response(text=text)

    monkeypatch.setattr(S3, "answer", answer)
    async with serving_s3() as (_, settings), Bucket.open(settings) as bucket:
        with pytest.raises(StoreUnavailableError):
            await bucket.list_page("inbox/", "", 1000)


async def test_all_objects_are_listed_page_by_page(s3: S3, bucket: Bucket) -> None:
    s3.page = 2
    for number in range(5):
        s3.put(f"images/{number}")
    s3.put("inbox/another")
    pages = [[it.key for it in page] async for page in bucket.list_all("images/")]
    assert pages == [["images/0", "images/1"], ["images/2", "images/3"], ["images/4"]]


async def test_repeated_list_pages_raise_an_error() -> None:
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

    async with Bucket.open(settings) as bucket:
        with pytest.raises(StoreUnavailableError, match="keeps listing the same objects"):
            [page async for page in bucket.list_all("images/")]

    await runner.cleanup()
