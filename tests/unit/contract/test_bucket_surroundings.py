"""The bucket with a private authority's certificate, behind a proxy, and with a role instead of keys."""

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
    of_the_service_account,
)
from vision_node_contract.models.reasons import Reason

LISTED = (
    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
)

Use = Callable[[Bucket], Awaitable[object]]

USES: dict[str, Use] = {
    "get": lambda store: store.get("images/a", 10),
    "put": lambda store: store.put("images/a", b"image", "image/png"),
    "list": lambda store: store.list_older("images/", datetime.now(UTC)),
}
"""Uses of the bucket: through aiohttp, and for the list through MinIO's client."""

every_use = pytest.mark.parametrize("use", USES)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the machine's own proxy settings, so that only a test's apply."""
    for name in os.environ:
        if name.lower() in {
            "http_proxy",
            "https_proxy",
            "no_proxy",
            "all_proxy",
        } or name.startswith("AWS_"):
            monkeypatch.delenv(name)

    monkeypatch.delenv("SSL_CERT_FILE", raising=False)


class FakeBucket:
    """Takes every request, and keeps it."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.refuses: dict[str, str] = {}
        """Code of the refusal by session token."""

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
    """A private certificate authority, and its certificate's file."""
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
async def test_a_private_authority_is_trusted_when_the_bundle_has_it(
    authority: tuple[trustme.CA, Path],
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    use: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
    bucket = FakeBucket()
    async with (
        served(bucket.answer, tls) as endpoint,
        Bucket.open(settings(endpoint, secure=True)) as store,
    ):
        await USES[use](store)

    assert len(bucket.requests) == 1


@every_use
async def test_without_it_the_refusal_says_where_the_authority_belongs(
    tls: ssl.SSLContext, use: str
) -> None:
    async with (
        served(FakeBucket().answer, tls) as endpoint,
        Bucket.open(settings(endpoint, secure=True)) as store,
    ):
        with pytest.raises(StoreUnavailableError, match=r"ConfigMap in caBundle\.configMap"):
            await USES[use](store)


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A proxy that the environment names."""
    async with proxying() as running:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://me:pass%20word@127.0.0.1:{running.port}")
        yield running


LOGIN = "Basic bWU6cGFzcyB3b3Jk"
"""me:pass word"""


@every_use
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_bucket_is_reached_through_the_proxy(
    authority: tuple[trustme.CA, Path],
    tls: ssl.SSLContext,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    use: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
    bucket, secure = FakeBucket(), scheme == "https"
    async with (
        served(bucket.answer, tls if secure else None) as endpoint,
        Bucket.open(settings(endpoint, secure=secure)) as store,
    ):
        await USES[use](store)

    assert len(bucket.requests) == 1
    (asked,) = proxy.requests
    assert asked == f"CONNECT {endpoint}" if secure else f"http://{endpoint}/bucket" in asked
    assert proxy.credentials == [LOGIN]
    assert "Proxy-Authorization" not in bucket.requests[0].headers


@every_use
async def test_not_where_no_proxy_says_otherwise(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
    async with served(FakeBucket().answer) as endpoint, Bucket.open(settings(endpoint)) as store:
        await USES[use](store)
    assert not proxy.requests


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
def test_hosts_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, host: str, no_proxy: str, proxy: str | None
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert outbound.proxy_for("https", host) == proxy


TOKEN = "token-of-the-service-account"  # noqa: S105


class SecurityTokenService:
    """Acts as AWS STS (AssumeRoleWithWebIdentity) and EKS Pod Identity's agent; keys are numbered."""

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
    """AWS STS, and the environment of a pod with a role, as EKS's webhook sets it."""
    service = SecurityTokenService()
    token = tmp_path / "token"
    token.write_text(TOKEN)

    async with served(service.answer) as endpoint:
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/api")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://{endpoint}")
        yield service


@asynccontextmanager
async def keyless() -> AsyncIterator[tuple[Bucket, FakeBucket]]:
    bucket = FakeBucket()
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(served(bucket.answer))
        without = replace(settings(endpoint), access_key="", secret_key="", keyless=True)
        yield await stack.enter_async_context(Bucket.open(without)), bucket


@every_use
async def test_a_service_accounts_role_is_used(sts: SecurityTokenService, use: str) -> None:
    async with keyless() as (store, bucket):
        await USES[use](store)
        await USES[use](store)

    (asked,) = sts.requests
    assert asked.query["WebIdentityToken"] == TOKEN
    assert asked.query["RoleArn"] == "arn:aws:iam::111122223333:role/api"

    for request in bucket.requests:
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
        async with keyless() as (store, bucket):
            await USES["get"](store)

    assert service.requests[0].headers["Authorization"] == TOKEN
    assert bucket.requests[0].headers["x-amz-security-token"] == "session-1"


async def test_many_requests_ask_for_keys_once(sts: SecurityTokenService) -> None:
    async with keyless() as (store, bucket):
        await asyncio.gather(*(USES["get"](store) for _ in range(20)))
    assert (len(sts.requests), len(bucket.requests)) == (1, 20)


async def test_keys_are_replaced_before_they_expire(sts: SecurityTokenService) -> None:
    """And meanwhile the old ones serve: nobody waits."""
    sts.valid = timedelta(minutes=4)
    async with keyless() as (store, bucket):
        await USES["get"](store)
        await USES["get"](store)
        await until(lambda: len(sts.requests) == 2)
        await until(lambda: store._keys._fetching is None)
        await USES["get"](store)

    sessions = [request.headers["x-amz-security-token"] for request in bucket.requests]
    assert sessions == ["session-1", "session-1", "session-2"]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the loop has brought that about."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (of another's task)
            await asyncio.sleep(0.001)


class Fetches:
    """Counts fetches, which wait until they may end as told."""

    def __init__(self, *valid: timedelta | Exception) -> None:
        self.valid = list(valid)
        self.begun = 0
        self.may_end = threading.Event()

    def __call__(self) -> Credentials:
        self.begun += 1
        number = self.begun
        assert self.may_end.wait(10)
        outcome = self.valid.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return Credentials(f"access-{number}", "secret", None, datetime.now(UTC) + outcome)


async def test_keys_serve_until_they_expire_while_there_are_no_others() -> None:
    """However many requests there are, new keys are asked for once in a while."""
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


async def test_many_who_wait_hear_of_one_failure() -> None:
    fetches = Fetches(ValueError("away"))
    source = CredentialsSource(fetches)
    waiting = [asyncio.create_task(source.current()) for _ in range(20)]
    await until(lambda: fetches.begun == 1)
    fetches.may_end.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailableError}
    assert fetches.begun == 1
    source.close()


async def test_those_who_come_after_a_failure_hear_of_it_for_a_while() -> None:
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


async def test_keys_that_expire_on_the_way_are_not_used_while_others_come() -> None:
    fetches = Fetches(timedelta(seconds=20), timedelta(hours=1))
    fetches.may_end.set()
    source = CredentialsSource(fetches)
    assert (await source.current()).access_key == "access-1"
    assert (await source.current()).access_key == "access-2"
    source.close()


async def test_keys_for_which_nobody_waits_any_more_are_kept() -> None:
    """A check of readiness waits two seconds, and AWS STS may need three."""
    fetches = Fetches(timedelta(hours=1))
    source = CredentialsSource(fetches)
    impatient = asyncio.create_task(source.current())
    await until(lambda: fetches.begun == 1)
    impatient.cancel()
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
def test_an_exception_from_the_proxy_is_about_the_host_that_is_asked(
    monkeypatch: pytest.MonkeyPatch, region: str, host: str
) -> None:
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")
    monkeypatch.setenv("AWS_REGION", region)
    asked: list[tuple[str, str | None]] = []
    monkeypatch.setattr(
        s3_credentials, "pool", lambda scheme, host, **_: asked.append((scheme, host))
    )
    of_the_service_account()
    assert asked == [("https", host)]


@every_use
async def test_a_refused_role_is_told_without_the_token(
    sts: SecurityTokenService, caplog: pytest.LogCaptureFixture, use: str
) -> None:
    sts.status = 403
    async with keyless() as (store, bucket):
        with pytest.raises(
            StoreUnavailableError, match="check the service account's annotations"
        ) as caught:
            await USES[use](store)

    assert (caught.value.reason, bucket.requests) == (Reason.STORAGE_DENIED, [])
    assert TOKEN not in str(caught.value)
    assert TOKEN not in caplog.text
    assert caught.value.__cause__ is None, "its text has the token"


async def test_an_sts_that_is_away_is_told_without_the_token(
    sts: SecurityTokenService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    async with keyless() as (store, _):
        with pytest.raises(StoreUnavailableError):
            await USES["get"](store)
    assert TOKEN not in caplog.text


async def test_a_new_token_is_read_each_time(sts: SecurityTokenService, tmp_path: Path) -> None:
    """Kubelet replaces it every hour or so."""
    fetch = of_the_service_account()
    await asyncio.to_thread(fetch)
    (tmp_path / "token").write_text("another")
    assert (await asyncio.to_thread(fetch)).access_key == "access-2"
    assert [request.query["WebIdentityToken"] for request in sts.requests] == [TOKEN, "another"]


class Issuer:
    """Gives keys that are valid for so long, or none; its clock stands still."""

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


async def test_requests_that_have_waited_for_keys_share_a_refusal(
    issuer: Issuer, source: CredentialsSource
) -> None:
    """Else the last of twenty would wait for twenty fetches, one after the other."""
    issuer.error = OSError("away")
    found = await asyncio.gather(*(source.current() for _ in range(20)), return_exceptions=True)
    assert {type(each) for each in found} == {StoreUnavailableError}
    assert issuer.asked == 1
    issuer.now += PAUSE_SECONDS
    issuer.error = None
    assert (await source.current()).access_key == "access-2"


async def test_keys_that_have_expired_serve_no_more(
    issuer: Issuer, source: CredentialsSource
) -> None:
    issuer.valid = timedelta(seconds=-1)
    await source.current()  # our clock may be wrong: the bucket is asked
    issuer.error = OSError("away")
    with pytest.raises(StoreUnavailableError):
        await source.current()


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken", "AccessDenied"])
async def test_keys_that_the_bucket_says_have_expired_are_replaced(
    sts: SecurityTokenService, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Its clock is right; by ours, which is ten minutes late, they would serve on."""
    monkeypatch.setattr(s3_credentials, "PAUSE_SECONDS", 0.0)
    async with keyless() as (store, bucket):
        bucket.refuses = {"session-1": code}
        with pytest.raises(StoreUnavailableError, match=code):
            await USES["get"](store)
        if code == "AccessDenied":
            with pytest.raises(StoreUnavailableError, match=code):
                await USES["get"](store)
        else:
            await USES["get"](store)

    assert len(sts.requests) == (1 if code == "AccessDenied" else 2)


async def test_but_not_again_and_again(sts: SecurityTokenService) -> None:
    async with keyless() as (store, bucket):
        bucket.refuses = {f"session-{n}": "ExpiredToken" for n in range(1, 20)}
        for _ in range(10):
            with pytest.raises(StoreUnavailableError):
                await USES["get"](store)
    assert len(sts.requests) == 1


@pytest.mark.parametrize(
    "text", ["[]", "null", '"text"', '{"Expiration": 5}', '{"Code": "Success"}']
)
async def test_an_answer_that_makes_no_sense_is_no_keys(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="application/json")

    async with served(answer) as endpoint:
        monkeypatch.setenv(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://{endpoint}/v1/credentials"
        )
        async with keyless() as (store, _):
            with pytest.raises(StoreUnavailableError, match="account's annotations"):
                await USES["get"](store)


async def test_fixed_keys_are_never_asked_for_again() -> None:
    asked: list[int] = []

    def fetch() -> Credentials:
        asked.append(1)
        return Credentials("access", "secret")

    source = CredentialsSource(fetch)
    for _ in range(3):
        await source.current()

    assert len(asked) == 1
    source.close()


def test_the_environment_says_whether_there_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_an_empty_key_is_no_wish_for_a_role(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "S3_ENDPOINT": "s3:9000",
        "S3_BUCKET": "bucket",
        "S3_SECRET_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)

    monkeypatch.setenv("S3_ACCESS_KEY", "")
    with pytest.raises(ValueError, match="S3_ACCESS_KEY is empty"):
        BucketSettings.from_env()
