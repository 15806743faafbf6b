"""Tests of connections to the bucket with a private certificate authority or a proxy."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from bucket_server import USES, FakeBucketServer, every_use, served, settings
from fakes.proxy import Proxy, proxying
from vision_node_contract.clients import outbound
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    """A private certificate authority, and the path of its certificate file."""
    created = trustme.CA()
    path = tmp_path / "ca.crt"
    created.cert_pem.write_to_path(path)
    return created, path


@pytest.fixture
def tls(authority: tuple[trustme.CA, Path]) -> ssl.SSLContext:
    """The TLS context of a server with a certificate from the private authority."""
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
async def test_error_for_an_untrusted_certificate_says_where_to_add_the_authority(
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
    """A running proxy, whose URL is set in HTTP_PROXY and HTTPS_PROXY."""
    async with proxying() as running:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://me:pass%20word@127.0.0.1:{running.port}")
        yield running


LOGIN = "Basic bWU6cGFzcyB3b3Jk"
"""The credentials `me:pass word`, as clients send them to a proxy."""


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
    (proxied,) = proxy.requests
    assert proxied == f"CONNECT {endpoint}" if secure else f"http://{endpoint}/bucket" in proxied
    assert proxy.credentials == [LOGIN]
    assert "Proxy-Authorization" not in server.requests[0].headers


@every_use
async def test_hosts_in_no_proxy_bypass_the_proxy(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
    async with (
        served(FakeBucketServer().answer) as endpoint,
        Bucket.open(settings(endpoint)) as bucket,
    ):
        await USES[use](bucket)
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
def test_no_proxy_covers_only_the_listed_hosts(
    monkeypatch: pytest.MonkeyPatch, host: str, no_proxy: str, proxy: str | None
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert outbound.proxy_for("https", host) == proxy
