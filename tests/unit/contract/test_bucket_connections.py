"""Connections to the bucket: a private authority, a proxy, and a role instead of keys."""

import asyncio
import os
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from fakes.proxy import Proxy, proxying
from vision_node_contract.clients import outbound, s3_credentials
from vision_node_contract.clients.bucket import Bucket, BucketSettings, StoreUnavailableError
from vision_node_contract.clients.s3_credentials import (
    PAUSE_SECONDS,
    Credentials,
    CredentialsSource,
    service_account_credentials,
)
from vision_node_contract.models.reasons import Reason

LISTED = (
    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
)

Use = Callable[[Bucket], Awaitable[object]]

USES: dict[str, Use] = {
    "get": lambda bucket: bucket.get("images/a", 10),
    "put": lambda bucket: bucket.put("images/a", b"image", "image/png"),
    "list": lambda bucket: bucket.list_older("images/", datetime.now(UTC)),
}
"""Uses of the bucket: read, write and list."""

every_use = pytest.mark.parametrize("use", USES)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the machine's own proxy and AWS settings, so that only the test's apply."""
    for name in os.environ:
        if name.lower() in {
            "http_proxy",
            "https_proxy",
            "no_proxy",
            "all_proxy",
        } or name.startswith("AWS_"):
            monkeypatch.delenv(name)

    monkeypatch.delenv("SSL_CERT_FILE", raising=False)


class FakeBucketServer:
    """Answers every request and records it."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.refuses: dict[str, str] = {}
        """Error code of the refusal by session token."""

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
    """Serve a handler and yield host:port."""
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


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    """A private certificate authority and the file of its certificate."""
    made = trustme.CA()
    path = tmp_path / "ca.crt"
    made.cert_pem.write_to_path(path)
    return made, path


@pytest.fixture
def tls(authority: tuple[trustme.CA, Path]) -> ssl.SSLContext:
    """The TLS context of a server with a certificate from that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("127.0.0.1").configure_cert(context)
    return context


@every_use
async def test_private_authority_in_the_bundle_is_trusted(
    authority: tuple[trustme.CA, Path],
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    use: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
    server = FakeBucketServer()
    async with (
        served(server.answer, tls) as endpoint,
        Bucket.open(settings(endpoint, secure=True)) as bucket,
    ):
        await USES[use](bucket)

    assert len(server.requests) == 1


@every_use
async def test_untrusted_certificate_error_says_where_to_add_the_authority(
    tls: ssl.SSLContext, use: str
) -> None:
    async with (
        served(FakeBucketServer().answer, tls) as endpoint,
        Bucket.open(settings(endpoint, secure=True)) as bucket,
    ):
        with pytest.raises(StoreUnavailableError, match=r"ConfigMap in caBundle\.configMap"):
            await USES[use](bucket)


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A proxy that is set in the environment."""
    async with proxying() as running:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://me:pass%20word@127.0.0.1:{running.port}")
        yield running


LOGIN = "Basic bWU6cGFzcyB3b3Jk"
"""Proxy credentials `me:pass word`."""


@every_use
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_requests_use_the_proxy(
    authority: tuple[trustme.CA, Path],
    tls: ssl.SSLContext,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    use: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
    server, secure = FakeBucketServer(), scheme == "https"
    async with (
        served(server.answer, tls if secure else None) as endpoint,
        Bucket.open(settings(endpoint, secure=secure)) as bucket,
    ):
        await USES[use](bucket)

    assert len(server.requests) == 1
    (asked,) = proxy.asked
    assert asked == f"CONNECT {endpoint}" if secure else f"http://{endpoint}/bucket" in asked
    assert proxy.logins == [LOGIN]
    assert "Proxy-Authorization" not in server.requests[0].headers


@every_use
async def test_no_proxy_bypasses_the_proxy(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
    async with (
        served(FakeBucketServer().answer) as endpoint,
        Bucket.open(settings(endpoint)) as bucket,
    ):
        await USES[use](bucket)
    assert not proxy.asked


@pytest.mark.parametrize(
    ("host", "no_proxy", "proxy"),
    [
        ("s3.example.com", "", "http://proxy:3128"),
        ("s3.example.com:9000", ".example.com", None),
        ("vision-node-minio:9000", "vision-node-minio", None),
        ("minio.store.svc:9000", ".svc,.cluster.local", None),
        ("[::1]:9000", "::1", None),
        ("[fd00::1]", "fd00::1", None),
        ("[fd00::2]:9000", "fd00::1", "http://proxy:3128"),
        ("[fd00::1]:9000", "[fd00::1]", None),
        ("[fd00::1]:9000", "fd00::/8", None),
        ("10.1.2.3:9000", "10.0.0.0/8", None),
        ("10.1.2.3:9000", "10.1.2.3", None),
        ("11.1.2.3:9000", "10.0.0.0/8", "http://proxy:3128"),
        ("s3.corp:9000", "s3.corp:9000", None),
        ("s3.corp:9001", "s3.corp:9000", "http://proxy:3128"),
        ("s3.corp", "*.corp", None),
        ("s3.corp", "CORP", None),
        ("s3.corp", " .corp , x", None),
        ("s3.mycorp", "corp", "http://proxy:3128"),
        ("s3.corp", "*", None),
        ("s3.corp", "10.0.0.0/99,,x/y", "http://proxy:3128"),
    ],
)
def test_no_proxy_formats(
    monkeypatch: pytest.MonkeyPatch, host: str, no_proxy: str, proxy: str | None
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert outbound.proxy_for("https", host) == proxy


TOKEN = "token-of-the-service-account"  # noqa: S105


class SecurityTokenService:
    """Fake of AWS STS (AssumeRoleWithWebIdentity) and EKS Pod Identity; keys are numbered."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.valid = timedelta(hours=1)
        self.status = 200

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        number = len(self.requests)
        expires = f"{datetime.now(UTC) + self.valid:%Y-%m-%dT%H:%M:%SZ}"
        if self.status != 200:
            return web.Response(status=self.status, text="<Error><Code>AccessDenied</Code></Error>")

        if request.path == "/v1/credentials":
            keys = {
                "AccessKeyId": f"access-{number}",
                "SecretAccessKey": "secret",
                "Token": f"session-{number}",
            }
            return web.json_response({**keys, "Expiration": expires})

        text = (
            '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            "<AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>access-{number}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>"
            f"<SessionToken>session-{number}</SessionToken><Expiration>{expires}</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )

        return web.Response(text=text, content_type="text/xml")


@pytest.fixture
async def sts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SecurityTokenService]:
    """A fake AWS STS and the environment that EKS's webhook sets in a pod with a role."""
    service = SecurityTokenService()
    token = tmp_path / "token"
    token.write_text(TOKEN)

    async with served(service.answer) as endpoint:
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/api")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://{endpoint}")
        yield service


@asynccontextmanager
async def keyless() -> AsyncIterator[tuple[Bucket, FakeBucketServer]]:
    server = FakeBucketServer()
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(served(server.answer))
        without = replace(settings(endpoint), access_key="", secret_key="", keyless=True)
        yield await stack.enter_async_context(Bucket.open(without)), server


@every_use
async def test_role_of_the_service_account_is_used(sts: SecurityTokenService, use: str) -> None:
    async with keyless() as (bucket, server):
        await USES[use](bucket)
        await USES[use](bucket)

    (asked,) = sts.requests
    assert asked.query["WebIdentityToken"] == TOKEN
    assert asked.query["RoleArn"] == "arn:aws:iam::111122223333:role/api"

    for request in server.requests:
        assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=access-1/")
        assert request.headers["x-amz-security-token"] == "session-1"
        assert "x-amz-security-token" in request.headers["Authorization"], "it has to be signed"


async def test_eks_pod_identity_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service, token = SecurityTokenService(), tmp_path / "token"
    token.write_text(TOKEN)
    async with served(service.answer) as endpoint:
        monkeypatch.setenv(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://{endpoint}/v1/credentials"
        )
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
        async with keyless() as (bucket, server):
            await USES["get"](bucket)

    assert service.requests[0].headers["Authorization"] == TOKEN
    assert server.requests[0].headers["x-amz-security-token"] == "session-1"


async def test_simultaneous_requests_share_one_fetch_of_keys(sts: SecurityTokenService) -> None:
    async with keyless() as (bucket, server):
        await asyncio.gather(*(USES["get"](bucket) for _ in range(20)))
    assert (len(sts.requests), len(server.requests)) == (1, 20)


async def test_keys_are_refreshed_before_they_expire(sts: SecurityTokenService) -> None:
    """Requests use the old keys meanwhile, so none of them waits."""
    sts.valid = timedelta(minutes=4)
    async with keyless() as (bucket, server):
        await USES["get"](bucket)
        await USES["get"](bucket)
        await until(lambda: len(sts.requests) == 2)
        await until(lambda: bucket._credentials._fetching is None)
        await USES["get"](bucket)

    sessions = [request.headers["x-amz-security-token"] for request in server.requests]
    assert sessions == ["session-1", "session-1", "session-2"]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (another task changes it)
            await asyncio.sleep(0.001)


class Fetches:
    """Counts fetches, which block until `may_end` is set and then end as configured."""

    def __init__(self, *outcomes: timedelta | Exception) -> None:
        self.outcomes = list(outcomes)
        self.begun = 0
        self.may_end = threading.Event()

    def __call__(self) -> Credentials:
        self.begun += 1
        number = self.begun
        assert self.may_end.wait(10)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return Credentials(f"access-{number}", "secret", None, datetime.now(UTC) + outcome)


async def test_old_keys_are_used_until_they_expire_if_the_refresh_fails() -> None:
    """However many requests there are, keys are fetched only once per pause."""
    fetches = Fetches(timedelta(minutes=4), ValueError("away"))
    source = CredentialsSource(fetches)
    fetches.may_end.set()
    await source.current()
    fetches.may_end.clear()
    for _ in range(20):
        assert (await source.current()).access_key == "access-1"

    fetches.may_end.set()
    await until(lambda: source._fetching is None)
    for _ in range(20):
        assert (await source.current()).access_key == "access-1"

    assert fetches.begun == 2
    source.close()


async def test_simultaneous_requests_share_one_failure() -> None:
    fetches = Fetches(ValueError("away"))
    source = CredentialsSource(fetches)
    waiting = [asyncio.create_task(source.current()) for _ in range(20)]
    await until(lambda: fetches.begun == 1)
    fetches.may_end.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailableError}
    assert fetches.begun == 1
    source.close()


async def test_failure_is_repeated_during_the_pause() -> None:
    now = 0.0
    fetches = Fetches(ValueError("away"), timedelta(hours=1))
    fetches.may_end.set()
    source = CredentialsSource(fetches, lambda: now)

    for _ in range(20):
        with pytest.raises(StoreUnavailableError, match="ValueError"):
            await source.current()

    assert fetches.begun == 1
    now = s3_credentials.PAUSE_SECONDS
    assert (await source.current()).access_key == "access-2"
    source.close()


async def test_keys_about_to_expire_are_not_used_during_a_fetch() -> None:
    fetches = Fetches(timedelta(seconds=20), timedelta(hours=1))
    fetches.may_end.set()
    source = CredentialsSource(fetches)
    assert (await source.current()).access_key == "access-1"
    assert (await source.current()).access_key == "access-2"
    source.close()


async def test_keys_are_kept_if_the_waiting_request_is_cancelled() -> None:
    """A readiness check waits two seconds, and AWS STS may need three."""
    fetches = Fetches(timedelta(hours=1))
    source = CredentialsSource(fetches)
    waiting = asyncio.create_task(source.current())
    await until(lambda: fetches.begun == 1)
    waiting.cancel()
    fetches.may_end.set()
    await until(lambda: source._fetching is None)
    assert (await source.current()).access_key == "access-1"
    assert fetches.begun == 1
    source.close()


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("", "sts.amazonaws.com"),
        ("eu-central-1", "sts.eu-central-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_no_proxy_is_checked_for_the_host_of_sts(
    monkeypatch: pytest.MonkeyPatch, region: str, host: str
) -> None:
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")
    monkeypatch.setenv("AWS_REGION", region)
    asked: list[tuple[str, str | None]] = []
    monkeypatch.setattr(
        s3_credentials, "pool", lambda scheme, host, **_: asked.append((scheme, host))
    )
    service_account_credentials()
    assert asked == [("https", host)]


@every_use
async def test_error_for_refused_role_does_not_contain_the_token(
    sts: SecurityTokenService, caplog: pytest.LogCaptureFixture, use: str
) -> None:
    sts.status = 403
    async with keyless() as (bucket, server):
        with pytest.raises(
            StoreUnavailableError, match="check the service account's annotations"
        ) as caught:
            await USES[use](bucket)

    assert (caught.value.reason, server.requests) == (Reason.STORAGE_DENIED, [])
    assert TOKEN not in str(caught.value)
    assert TOKEN not in caplog.text
    assert caught.value.__cause__ is None, "its text contains the token"


async def test_error_for_unreachable_sts_does_not_contain_the_token(
    sts: SecurityTokenService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    async with keyless() as (bucket, _):
        with pytest.raises(StoreUnavailableError):
            await USES["get"](bucket)
    assert TOKEN not in caplog.text


async def test_token_is_read_for_each_fetch(sts: SecurityTokenService, tmp_path: Path) -> None:
    """The kubelet replaces it about every hour."""
    fetch = service_account_credentials()
    await asyncio.to_thread(fetch)
    (tmp_path / "token").write_text("another")
    assert (await asyncio.to_thread(fetch)).access_key == "access-2"
    assert [request.query["WebIdentityToken"] for request in sts.requests] == [TOKEN, "another"]


class Issuer:
    """Issues keys that are valid for `valid`, or fails with `error`; its clock is set by hand."""

    def __init__(self) -> None:
        self.valid = timedelta(minutes=4)
        self.error: Exception | None = None
        self.asked = 0
        self.now = 0.0

    def fetch(self) -> Credentials:
        self.asked += 1
        if self.error:
            raise self.error
        return Credentials(
            f"access-{self.asked}", "secret", "session", datetime.now(UTC) + self.valid
        )


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def source(issuer: Issuer) -> Iterator[CredentialsSource]:
    made = CredentialsSource(issuer.fetch, lambda: issuer.now)
    yield made
    made.close()


async def test_requests_that_wait_for_keys_share_a_refusal(
    issuer: Issuer, source: CredentialsSource
) -> None:
    """Otherwise the last of twenty would wait for twenty fetches, one after the other."""
    issuer.error = OSError("away")
    found = await asyncio.gather(*(source.current() for _ in range(20)), return_exceptions=True)
    assert {type(each) for each in found} == {StoreUnavailableError}
    assert issuer.asked == 1
    issuer.now += PAUSE_SECONDS
    issuer.error = None
    assert (await source.current()).access_key == "access-2"


async def test_expired_keys_are_not_used(issuer: Issuer, source: CredentialsSource) -> None:
    issuer.valid = timedelta(seconds=-1)
    await source.current()  # our clock may be wrong: the bucket decides
    issuer.error = OSError("away")
    with pytest.raises(StoreUnavailableError):
        await source.current()


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken", "AccessDenied"])
async def test_keys_that_the_bucket_calls_expired_are_replaced(
    sts: SecurityTokenService, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """The bucket's clock counts: ours may be ten minutes late and consider the keys valid."""
    monkeypatch.setattr(s3_credentials, "PAUSE_SECONDS", 0.0)
    async with keyless() as (bucket, server):
        server.refuses = {"session-1": code}
        with pytest.raises(StoreUnavailableError, match=code):
            await USES["get"](bucket)
        if code == "AccessDenied":
            with pytest.raises(StoreUnavailableError, match=code):
                await USES["get"](bucket)
        else:
            await USES["get"](bucket)

    assert len(sts.requests) == (1 if code == "AccessDenied" else 2)


async def test_rejected_new_keys_are_not_replaced_during_the_pause(
    sts: SecurityTokenService,
) -> None:
    async with keyless() as (bucket, server):
        server.refuses = {f"session-{n}": "ExpiredToken" for n in range(1, 20)}
        for _ in range(10):
            with pytest.raises(StoreUnavailableError):
                await USES["get"](bucket)
    assert len(sts.requests) == 1


@pytest.mark.parametrize(
    "text", ["[]", "null", '"text"', '{"Expiration": 5}', '{"Code": "Success"}']
)
async def test_invalid_response_of_the_credentials_service_is_an_error(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="application/json")

    async with served(answer) as endpoint:
        monkeypatch.setenv(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://{endpoint}/v1/credentials"
        )
        async with keyless() as (bucket, _):
            with pytest.raises(StoreUnavailableError, match="account's annotations"):
                await USES["get"](bucket)


async def test_keys_without_expiration_are_fetched_once() -> None:
    asked: list[int] = []

    def fetch() -> Credentials:
        asked.append(1)
        return Credentials("access", "secret")

    source = CredentialsSource(fetch)
    for _ in range(3):
        await source.current()

    assert len(asked) == 1
    source.close()


def test_keys_are_required_unless_keyless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "S3_ENDPOINT": "s3:9000",
        "S3_BUCKET": "bucket",
        "S3_KEYLESS": "true",
    }.items():
        monkeypatch.setenv(name, value)

    assert BucketSettings.from_env().keyless
    monkeypatch.delenv("S3_KEYLESS")
    with pytest.raises(KeyError, match="S3_ACCESS_KEY"):
        BucketSettings.from_env()


def test_empty_key_is_an_error_not_keyless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "S3_ENDPOINT": "s3:9000",
        "S3_BUCKET": "bucket",
        "S3_SECRET_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)

    monkeypatch.setenv("S3_ACCESS_KEY", "")
    with pytest.raises(ValueError, match="S3_ACCESS_KEY is empty"):
        BucketSettings.from_env()
