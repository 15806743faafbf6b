"""Tests of the bucket client against a fake S3 server on a real socket."""

import gzip
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from vision_node_contract.clients import bucket_requests
from vision_node_contract.clients.bucket import (
    Bucket,
    BucketSettings,
    ObjectNotFoundError,
    StoreUnavailableError,
)
from vision_node_contract.clients.bucket_errors import (
    LOG_SECONDS,
    MAX_CODES,
    FailureCounts,
    FailureKey,
    FailureLog,
)
from vision_node_contract.models.reasons import STORAGE_REASONS, Reason

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Open = Callable[[Handler], Awaitable[Bucket]]

REFUSED = '<?xml version="1.0"?><Error><Code>{}</Code><Message>no</Message></Error>'


def settings(endpoint: str) -> BucketSettings:
    return BucketSettings(endpoint, "bucket", "access", "top-secret", secure=False)


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """A function that serves a handler and returns a bucket client for it."""
    closing: list[Callable[[], Awaitable[object]]] = []

    async def run(handler: Handler) -> Bucket:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        opening = Bucket.open(settings(f"{host}:{port}"))
        bucket = await opening.__aenter__()
        closing.extend([lambda: opening.__aexit__(None, None, None), runner.cleanup])

        return bucket

    yield run
    for close in closing:
        await close()


async def test_put_is_signed_and_sends_the_digest_and_the_media_type(opened: Open) -> None:
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


@pytest.mark.parametrize("length", ["declared", "in chunks"])
@pytest.mark.parametrize(("size", "read"), [(0, 0), (3, 3), (4, 4), (5, 5), (1 << 22, 5)])
async def test_get_reads_at_most_one_byte_more_than_allowed(
    opened: Open, length: str, size: int, read: int
) -> None:
    async def give(request: web.Request) -> web.StreamResponse:
        if length == "declared":
            return web.Response(body=b"x" * size)

        answer = web.StreamResponse()
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(b"x" * size)
        return answer

    assert await (await opened(give)).get("images/a", 4) == b"x" * read


async def test_get_does_not_decompress_the_object(opened: Open) -> None:
    packed = gzip.compress(b"x" * (1 << 22))

    async def give(_: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    assert await (await opened(give)).get("images/a", 1 << 20) == packed


async def test_redirect_is_not_followed(opened: Open) -> None:
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
async def test_error_responses_raise_typed_errors(
    opened: Open, status: int, body: str, error: type[Exception], said: str
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    bucket = await opened(refuse)
    with pytest.raises(error, match=said):
        await bucket.get("images/a", 10)

    with pytest.raises(error, match=said):
        await bucket.put("images/a", b"x", "image/png")


SECRETS = (
    '<?xml version="1.0"?><Error><Code>{}</Code><Message>top-secret</Message>'
    "<AWSAccessKeyId>access</AWSAccessKeyId><StringToSign>top-secret</StringToSign></Error>"
)
"""An error response that quotes the refused request, as S3 servers do."""

REFUSALS: dict[str, tuple[int, str, Reason, str]] = {
    "MinIO's disk is full": (507, "XMinioStorageFull", Reason.STORAGE_FULL, "enlarge"),
    "MinIO's quota for a bucket": (
        400,
        "XMinioAdminBucketQuotaExceeded",
        Reason.STORAGE_FULL,
        "quota",
    ),
    "Ceph's quota": (403, "QuotaExceeded", Reason.STORAGE_FULL, "quota"),
    "a full disk with an unknown error code": (507, "Unheard", Reason.STORAGE_FULL, "Unheard"),
    "a missing permission": (403, "AccessDenied", Reason.STORAGE_DENIED, "permissions"),
    "a deleted access key": (403, "InvalidAccessKeyId", Reason.STORAGE_DENIED, "Secret"),
    "a wrong secret key": (403, "SignatureDoesNotMatch", Reason.STORAGE_DENIED, "Secret"),
    "a refusal with an unknown error code": (403, "Unheard", Reason.STORAGE_DENIED, "Unheard"),
    "clocks that differ": (403, "RequestTimeTooSkewed", Reason.CLOCK_SKEW, "NTP"),
    "a missing bucket": (404, "NoSuchBucket", Reason.BUCKET_NOT_FOUND, "create"),
    "a busy server": (503, "SlowDown", Reason.STORAGE_UNAVAILABLE, "SlowDown"),
    "an internal error": (500, "InternalError", Reason.STORAGE_UNAVAILABLE, "InternalError"),
}

Use = Callable[[Bucket], Awaitable[object]]

USES: dict[str, Use] = {
    "get": lambda bucket: bucket.get("images/a", 10),
    "put": lambda bucket: bucket.put("images/a", b"x", "image/png"),
    "delete": lambda bucket: bucket.delete("images/a"),
    "list": lambda bucket: anext(bucket.list_all("images/")),
    "conditional put": lambda bucket: bucket.put_if("images/a", b"x", "image/png", "00", None),
    "stat": lambda bucket: bucket.stat("images/a"),
    "page": lambda bucket: bucket.list_page("images/", "", 10),
    "check": lambda bucket: bucket.check(),
}


def refuse_with(status: int, code: str) -> Handler:
    """Return a handler that refuses requests as S3 does. The body is XML, but empty for HEAD."""

    async def refuse(request: web.Request) -> web.Response:
        text = "" if request.method == "HEAD" else SECRETS.format(code)
        return web.Response(status=status, text=text, content_type="application/xml")

    return refuse


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("case", REFUSALS)
async def test_error_contains_reason_and_advice_but_no_credentials(
    opened: Open, case: str, use: str
) -> None:
    status, code, reason, advice = REFUSALS[case]
    bucket = await opened(refuse_with(status, code))
    with pytest.raises(StoreUnavailableError) as caught:
        await USES[use](bucket)

    assert (caught.value.reason, caught.value.code) == (reason, code)
    assert code in str(caught.value)
    assert advice in str(caught.value)
    assert "access" not in str(caught.value).replace("access denied", "")
    assert "top-secret" not in str(caught.value)


@pytest.mark.parametrize("code", ["", "<", "a b", "x" * 65, "\u202e"])
async def test_invalid_error_code_is_not_quoted(opened: Open, code: str) -> None:
    bucket = await opened(refuse_with(500, code))
    for use in USES.values():
        with pytest.raises(StoreUnavailableError) as caught:
            await use(bucket)
        assert (caught.value.reason, caught.value.code) in {
            (Reason.STORAGE_UNAVAILABLE, "500"),
            (Reason.STORAGE_UNAVAILABLE, ""),
        }


async def test_check_sends_only_a_head_request(opened: Open) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(f"{request.method} {request.raw_path}")
        return web.Response()

    await (await opened(answer)).check()
    assert seen == ["HEAD /bucket"]


async def test_delete_is_one_signed_request(opened: Open) -> None:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=204)

    await (await opened(answer)).delete("images/a b")

    (request,) = seen
    assert (request.method, request.raw_path) == ("DELETE", "/bucket/images/a%20b")
    assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=access/")


async def test_each_failure_reason_is_logged_once_a_minute(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    codes = [
        "XMinioStorageFull",
        "XMinioStorageFull",
        "AccessDenied",
        "XMinioStorageFull",
        "AccessDenied",
    ]

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=400, text=SECRETS.format(codes.pop(0)))

    bucket = await opened(refuse)

    for _ in range(5):
        with pytest.raises(StoreUnavailableError):
            await bucket.get("images/a", 10)

    warnings = [
        record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
    ]
    assert [line.split(":")[0] for line in warnings] == ["StorageFull", "StorageDenied"]
    assert "XMinioStorageFull" in warnings[0]
    assert "AccessDenied" in warnings[1]


async def test_next_log_line_contains_the_number_of_suppressed_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    times = [0.0, 1.0, 2.0, LOG_SECONDS, LOG_SECONDS + 1]
    failures = FailureLog(iter(times).__next__)
    for _ in times:
        with pytest.raises(StoreUnavailableError), failures.recording():
            raise StoreUnavailableError("away")

    assert [record.getMessage().split("(")[1] for record in caplog.records] == [
        "0 more since the last such line)",
        "2 more since the last such line)",
    ]


async def test_every_storage_reason_is_covered_and_retryable() -> None:
    assert {reason for _, _, reason, _ in REFUSALS.values()} == STORAGE_REASONS
    assert all(reason.retryable for reason in STORAGE_REASONS)


async def test_truncated_response_raises_an_error(opened: Open) -> None:
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
async def test_invalid_key_raises_not_found(key: str) -> None:
    async with Bucket.open(settings("127.0.0.1:9")) as bucket:
        with pytest.raises(ObjectNotFoundError):
            await bucket.get(key, 10)


async def test_refused_connection_raises_unavailable_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_requests, "CONNECT_PAUSES", (0.0, 0.0))
    async with Bucket.open(settings("127.0.0.1:9")) as bucket:
        with pytest.raises(StoreUnavailableError, match="ClientConnectorError"):
            await bucket.get("images/a", 10)


async def test_failures_are_counted_by_the_bucket_code(opened: Open) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=503, text=REFUSED.format("SlowDown"))

    bucket = await opened(refuse)
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await bucket.put("images/a", b"image", "image/png")

    counted = {key: count for key, count in bucket.failures.items() if count}
    assert counted == {(Reason.STORAGE_UNAVAILABLE, "SlowDown"): 2}


def test_number_of_counted_codes_is_limited() -> None:
    """The bucket chooses the codes, and each would be a series of its own."""
    counts = FailureCounts()
    for number in range(1000):
        counts.add(StoreUnavailableError("m", code=f"Code{number}"))

    assert len(counts) <= MAX_CODES + 1
    assert sum(counts.values()) == 1000
    assert counts[FailureKey(Reason.STORAGE_UNAVAILABLE, "other")] > 900
