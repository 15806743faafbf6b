"""Tests of forwarding headers: which proxies are trusted, and how their headers are applied."""

from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from vision_node_api.middleware.proxy_headers import ProxyHeadersMiddleware
from vision_node_api.web.trusted_proxies import TrustedProxies

PROXY, UNTRUSTED = "10.1.2.3", "192.0.2.9"
TRUSTED = TrustedProxies(["10.0.0.0/8", "fd00::/8"])


async def echo_request(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the properties of the request that the application receives."""
    request = Request(scope)
    received = {
        "url": str(request.url),
        "client": scope["client"][0],
        "root_path": scope.get("root_path", ""),
        "path": scope["path"],
    }
    await JSONResponse(received)(scope, receive, send)


async def received_by_app(
    headers: Any, peer: str = PROXY, path: str = "/status/x", root_path: str = ""
) -> Any:
    """Send a request with these headers from `peer`, and return what the application receives."""
    app = ProxyHeadersMiddleware(echo_request, TRUSTED, root_path)
    transport = httpx.ASGITransport(app, client=(peer, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://api:8000") as client:
        return (await client.get(path, headers=headers)).json()


DIRECT = {"url": "http://api:8000/status/x", "client": PROXY, "root_path": "", "path": "/status/x"}

APPLIED: dict[str, tuple[Any, dict[str, str]]] = {
    "no headers": ({}, {}),
    "the scheme": ({"X-Forwarded-Proto": "https"}, {"url": "https://api:8000/status/x"}),
    "the scheme in uppercase": (
        {"X-Forwarded-Proto": "HTTPS"},
        {"url": "https://api:8000/status/x"},
    ),
    "the host": ({"X-Forwarded-Host": "a.example"}, {"url": "http://a.example/status/x"}),
    "host and port": (
        {"X-Forwarded-Host": "a.example:8443"},
        {"url": "http://a.example:8443/status/x"},
    ),
    "an IPv6 host": (
        {"X-Forwarded-Host": "[2001:db8::1]:8"},
        {"url": "http://[2001:db8::1]:8/status/x"},
    ),
    "the client": ({"X-Forwarded-For": "192.0.2.1"}, {"client": "192.0.2.1"}),
    "the client's port": ({"X-Forwarded-For": "192.0.2.1:99"}, {"client": "192.0.2.1"}),
    "an IPv6 client": ({"X-Forwarded-For": "2001:db8::1"}, {"client": "2001:db8::1"}),
    "a forged address": (
        {"X-Forwarded-For": "1.1.1.1, 192.0.2.1"},
        {"client": "192.0.2.1"},
    ),
    "two proxies": (
        {
            "X-Forwarded-For": "1.1.1.1, 192.0.2.1, 10.9.9.9",
            "X-Forwarded-Proto": "ftp, https, http",
            "X-Forwarded-Host": "evil.example, a.example, inner",
        },
        {"url": "https://a.example/status/x", "client": "192.0.2.1"},
    ),
    "two proxies and one scheme": (
        {"X-Forwarded-For": "192.0.2.1, 10.9.9.9", "X-Forwarded-Proto": "https"},
        {"url": "https://api:8000/status/x", "client": "192.0.2.1"},
    ),
    "a header for each proxy": (
        [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "10.9.9.9")],
        {"client": "192.0.2.1"},
    ),
    "only addresses of proxies": (
        {"X-Forwarded-For": "10.0.0.1, 10.0.0.2"},
        {"client": "10.0.0.1"},
    ),
    "RFC 7239": (
        {"Forwarded": 'for="[2001:db8::1]:47"; proto=https ;host="a.example"'},
        {"url": "https://a.example/status/x", "client": "2001:db8::1"},
    ),
    "two proxies that use RFC 7239": (
        {"Forwarded": "For=1.1.1.1;Proto=ftp, for=192.0.2.1;proto=https, for=10.9.9.9;proto=http"},
        {"url": "https://api:8000/status/x", "client": "192.0.2.1"},
    ),
    "X-Forwarded-Proto and a forged Forwarded header": (
        {"X-Forwarded-Proto": "http", "Forwarded": "host=evil.example;proto=https"},
        {},
    ),
    "the path": (
        {"X-Forwarded-Prefix": "/vision"},
        {
            "url": "http://api:8000/vision/status/x",
            "root_path": "/vision",
            "path": "/vision/status/x",
        },
    ),
}

INVALID: dict[str, dict[str, str]] = {
    "an unknown scheme": {"X-Forwarded-Proto": "javascript"},
    "a host with a path": {"X-Forwarded-Host": "a.example/x"},
    "a host with a user": {"X-Forwarded-Host": "user@a.example"},
    "a host with a space": {"X-Forwarded-Host": "a.example b"},
    "an empty host": {"X-Forwarded-Host": ""},
    "a word instead of an address": {"X-Forwarded-For": "unknown"},
    "an invalid address": {"X-Forwarded-For": "300.1.1.1"},
    "a path that names a host": {"X-Forwarded-Prefix": "//evil.example"},
    "a URL as the path": {"X-Forwarded-Prefix": "https://evil.example"},
    "a path with ..": {"X-Forwarded-Prefix": "/vision/../../etc"},
    "a path without a leading slash": {"X-Forwarded-Prefix": "vision"},
    "a path with a backslash": {"X-Forwarded-Prefix": "/\\evil.example"},
    "a path with a line break": {"X-Forwarded-Prefix": "/a%0d%0aSet-Cookie:x"},
    "a path with markup": {"X-Forwarded-Prefix": '/"><script>'},
    "a path with a query": {"X-Forwarded-Prefix": "/a?b"},
    "one of the API's own paths": {"X-Forwarded-Prefix": "/status"},
    "a long path": {"X-Forwarded-Prefix": "/" + "a" * 255},
    "a quote that is not closed": {"Forwarded": 'for="unclosed;proto=https'},
}


@pytest.mark.parametrize("case", APPLIED)
async def test_headers_of_a_trusted_proxy_are_applied(case: str) -> None:
    headers, received = APPLIED[case]
    assert await received_by_app(headers) == {**DIRECT, **received}


@pytest.mark.parametrize("case", [case for case in APPLIED if case != "no headers"])
@pytest.mark.parametrize("peer", [UNTRUSTED, "2001:db8::9", "testclient"])
async def test_headers_of_an_untrusted_peer_are_ignored(case: str, peer: str) -> None:
    assert await received_by_app(APPLIED[case][0], peer) == {**DIRECT, "client": peer}


@pytest.mark.parametrize("case", INVALID)
async def test_invalid_forwarded_values_are_ignored(case: str) -> None:
    assert await received_by_app(INVALID[case]) == DIRECT


@pytest.mark.parametrize("case", [case for case in INVALID if "Prefix" in str(INVALID[case])])
async def test_configured_root_path_is_used_if_the_prefix_is_invalid(case: str) -> None:
    found = await received_by_app(INVALID[case], root_path="/apps/vision")
    assert found["root_path"] == "/apps/vision"


@pytest.mark.parametrize(
    ("prefix", "root_path"),
    [
        ("/", ""),
        ("/vision/", "/vision"),
        ("/apps/vision", "/apps/vision"),
        ("/apps,/vision", "/apps/vision"),
        ("/v1.2_a~b-c", "/v1.2_a~b-c"),
    ],
)
async def test_forwarded_prefix_becomes_the_root_path(prefix: str, root_path: str) -> None:
    found = await received_by_app({"X-Forwarded-Prefix": prefix}, root_path="/value")
    assert (found["root_path"], found["path"]) == (root_path, f"{root_path}/status/x")


@pytest.mark.parametrize("peer", ["::ffff:10.1.2.3", "fd12::1"])
async def test_proxy_may_connect_over_ipv6(peer: str) -> None:
    assert (await received_by_app({"X-Forwarded-For": "192.0.2.1"}, peer))["client"] == "192.0.2.1"


async def test_peer_without_an_address_is_not_trusted() -> None:
    """On a Unix socket, uvicorn does not know the address of the peer."""
    scope = {"type": "http", "client": None, "headers": [(b"x-forwarded-proto", b"https")]}
    passed: list[Scope] = []

    async def take(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope)

    nothing: Any = None
    await ProxyHeadersMiddleware(take, TRUSTED, "")({**scope, "path": "/"}, nothing, nothing)
    assert "scheme" not in passed[0]
