"""Tests of bucket credentials that come from the role of a service account."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from bucket_server import USES, FakeBucketServer, every_use, served, settings
from vision_node_contract.clients import s3_credentials
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.s3_credentials import (
    PAUSE_SECONDS,
    Credentials,
    CredentialsSource,
    service_account_credentials,
)
from vision_node_contract.models.reasons import Reason

TOKEN = "token-of-the-service-account"  # noqa: S105


class SecurityTokenService:
    """A fake AWS STS (AssumeRoleWithWebIdentity) and EKS Pod Identity. It numbers the keys."""

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
    """A fake AWS STS. The environment is set as EKS's webhook sets it in a pod with a role."""
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
        assert "x-amz-security-token" in request.headers["Authorization"], (
            "the token must be signed"
        )


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
    """During the refresh, requests use the old keys, so that they do not have to wait."""
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
    """Wait until the condition is true."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (other tasks make it true)
            await asyncio.sleep(0.001)


class Fetches:
    """A function that fetches keys and counts its calls.

    Each call blocks until `may_end` is set, and then uses the next item of `outcomes`. If the item
    is an exception, the call raises it. Otherwise, the item is a duration, and the call returns
    keys that are valid for that long.
    """

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
    """A failed fetch is followed by a pause, regardless of the number of requests."""
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


async def test_failed_fetch_is_not_repeated_during_the_pause() -> None:
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


async def test_keys_are_kept_if_the_waiting_request_is_canceled() -> None:
    """A readiness check waits only two seconds, but AWS STS may take three."""
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
def test_proxy_settings_are_looked_up_for_the_host_of_sts(
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
async def test_error_for_a_refused_role_does_not_contain_the_token(
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
    assert caught.value.__cause__ is None, "the text of the cause would contain the token"


async def test_error_for_unreachable_sts_does_not_contain_the_token(
    sts: SecurityTokenService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    async with keyless() as (bucket, _):
        with pytest.raises(StoreUnavailableError):
            await USES["get"](bucket)
    assert TOKEN not in caplog.text


async def test_token_is_read_again_for_each_fetch(
    sts: SecurityTokenService, tmp_path: Path
) -> None:
    """The kubelet replaces the token about every hour."""
    fetch = service_account_credentials()

    await asyncio.to_thread(fetch)
    (tmp_path / "token").write_text("another")
    assert (await asyncio.to_thread(fetch)).access_key == "access-2"
    assert [request.query["WebIdentityToken"] for request in sts.requests] == [TOKEN, "another"]


class Issuer:
    """Issues keys that remain valid for the duration `valid`, or raises `error` if it is set.

    The time on its clock is `now`, which tests can change.
    """

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


async def test_requests_that_wait_for_keys_share_one_error(
    issuer: Issuer, source: CredentialsSource
) -> None:
    """Otherwise, the last of twenty requests would wait for twenty fetches, one after another."""
    issuer.error = OSError("away")
    found = await asyncio.gather(*(source.current() for _ in range(20)), return_exceptions=True)
    assert {type(each) for each in found} == {StoreUnavailableError}
    assert issuer.asked == 1

    issuer.now += PAUSE_SECONDS
    issuer.error = None
    assert (await source.current()).access_key == "access-2"


async def test_expired_keys_are_not_used_again(issuer: Issuer, source: CredentialsSource) -> None:
    issuer.valid = timedelta(seconds=-1)
    # New keys are used even if they look expired, because this machine's clock may be wrong.
    await source.current()
    issuer.error = OSError("away")
    with pytest.raises(StoreUnavailableError):
        await source.current()


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken", "AccessDenied"])
async def test_keys_that_the_bucket_reports_as_expired_are_replaced(
    sts: SecurityTokenService, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """The client considers expired keys valid if its clock is, for example, ten minutes slow."""
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
async def test_invalid_response_from_the_credentials_service_raises_an_error(
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


async def test_keys_without_expiration_are_fetched_only_once() -> None:
    asked: list[int] = []

    def fetch() -> Credentials:
        asked.append(1)
        return Credentials("access", "secret")

    source = CredentialsSource(fetch)
    for _ in range(3):
        await source.current()

    assert len(asked) == 1
    source.close()
