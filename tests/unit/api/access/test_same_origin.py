"""Tests of which requests come from the page itself, and of the cookie with its session."""

import pytest
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope
from vision_node_api.middleware.proxy_headers import ProxyHeadersMiddleware
from vision_node_api.web.problems import Problem
from vision_node_api.web.same_origin import is_same_origin, require_same_origin
from vision_node_api.web.session_cookie import clear_session, session_texts, set_session
from vision_node_api.web.trusted_proxies import TrustedProxies

PROXY = "10.1.2.3"
Pairs = list[tuple[str, str]]


def scope_of(headers: Pairs, scheme: str = "http", root_path: str = "") -> Scope:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return {
        "type": "http",
        "method": "POST",
        "scheme": scheme,
        "path": f"{root_path}/submit",
        "root_path": root_path,
        "client": (PROXY, 1),
        "headers": raw,
    }


HOST = ("Host", "api.example.com")

SAME: dict[str, tuple[str, Pairs]] = {
    "the origin": ("http", [HOST, ("Origin", "http://api.example.com")]),
    "the origin with TLS": ("https", [HOST, ("Origin", "https://api.example.com")]),
    "TLS that a proxy terminates silently": ("http", [HOST, ("Origin", "https://api.example.com")]),
    "another case": ("http", [("Host", "API.example.com"), ("Origin", "http://api.example.com")]),
    "a port": ("http", [("Host", "localhost:8000"), ("Origin", "http://localhost:8000")]),
    "the default port": (
        "https",
        [("Host", "api.example.com:443"), ("Origin", "https://api.example.com")],
    ),
    "an IPv6 address": ("http", [("Host", "[::1]:8000"), ("Origin", "http://[::1]:8000")]),
    "the referrer": ("http", [HOST, ("Referer", "http://api.example.com/ui?a=b")]),
    "fetch metadata": ("http", [("Sec-Fetch-Site", "same-origin")]),
    "fetch metadata behind a proxy that changes Host": (
        "http",
        [
            ("Host", "vision-node-api:8000"),
            ("Origin", "https://api.example.com"),
            ("Sec-Fetch-Site", "same-origin"),
        ],
    ),
}

FOREIGN: dict[str, tuple[str, Pairs]] = {
    "no header": ("http", [HOST]),
    "an opaque origin": ("http", [HOST, ("Origin", "null")]),
    "an empty origin": ("http", [HOST, ("Origin", "")]),
    "no URL": ("http", [HOST, ("Origin", "api.example.com")]),
    "an invalid URL": ("http", [HOST, ("Origin", "http://[api.example.com")]),
    "an invalid port": ("http", [HOST, ("Origin", "http://api.example.com:x")]),
    "another scheme": ("http", [HOST, ("Origin", "ftp://api.example.com")]),
    "a file": ("http", [HOST, ("Origin", "file://api.example.com")]),
    "another host": ("http", [HOST, ("Origin", "http://evil.example.com")]),
    "a host that begins like ours": ("http", [HOST, ("Origin", "http://api.example.com.evil.net")]),
    "a host that ends like ours": ("http", [HOST, ("Origin", "http://evil-api.example.com")]),
    "our host as the user": ("http", [HOST, ("Origin", "http://api.example.com@evil.net")]),
    "a user at our host": ("http", [HOST, ("Origin", "http://x@api.example.com")]),
    "another port": ("http", [HOST, ("Origin", "http://api.example.com:8080")]),
    "less security": ("https", [HOST, ("Origin", "http://api.example.com")]),
    "two origins": (
        "http",
        [HOST, ("Origin", "http://api.example.com"), ("Origin", "http://evil.example.com")],
    ),
    "two hosts": (
        "http",
        [HOST, ("Host", "evil.example.com"), ("Origin", "http://evil.example.com")],
    ),
    "no host": ("http", [("Origin", "http://api.example.com")]),
    "another page as the referrer": ("http", [HOST, ("Referer", "http://evil.example.com/ui")]),
    "our address only in the referrer's query": (
        "http",
        [HOST, ("Referer", "http://evil.example.com/?http://api.example.com")],
    ),
    "a referrer beside another origin": (
        "http",
        [HOST, ("Origin", "http://evil.example.com"), ("Referer", "http://api.example.com/ui")],
    ),
    **{
        f"fetch metadata {value!r} beside the origin": (
            "http",
            [HOST, ("Origin", "http://api.example.com"), ("Sec-Fetch-Site", value)],
        )
        for value in ("cross-site", "same-site", "none", "", "same-origin, cross-site")
    },
    "contradicting fetch metadata": (
        "http",
        [HOST, ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_request_of_the_page_is_from_the_same_origin(case: str) -> None:
    scheme, headers = SAME[case]
    require_same_origin(scope_of(headers, scheme))


@pytest.mark.parametrize("case", FOREIGN)
def test_request_of_another_page_is_refused(case: str) -> None:
    scheme, headers = FOREIGN[case]
    with pytest.raises(Problem) as caught:
        require_same_origin(scope_of(headers, scheme))
    assert (caught.value.status, caught.value.reason) == (403, "OriginNotAllowed")


FORWARDED: Pairs = [
    ("Host", "vision-node-api:8000"),
    ("X-Forwarded-Host", "api.example.com"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Prefix", "/vision"),
]


@pytest.mark.parametrize(
    ("trusted", "origin", "expected"),
    [
        ([PROXY], "https://api.example.com", True),
        ([PROXY], "http://api.example.com", False),
        ([PROXY], "https://vision-node-api:8000", False),
        ([], "https://api.example.com", False),
        ([], "http://vision-node-api:8000", True),
    ],
)
async def test_only_trusted_proxies_say_at_which_origin_the_api_is(
    trusted: list[str], origin: str, *, expected: bool
) -> None:
    seen: list[bool] = []

    async def app(scope: Scope, receive: object, send: object) -> None:
        seen.append(is_same_origin(scope))

    proxied = ProxyHeadersMiddleware(app, TrustedProxies(trusted), "")
    await proxied(scope_of([*FORWARDED, ("Origin", origin)]), None, None)  # type: ignore[arg-type]
    assert seen == [expected]


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        ([], []),
        (["a=b; vision_node_session=x.y.z; c=d"], ["x.y.z"]),
        (["vision_node_session=x; vision_node_session=x"], ["x"]),
        (["vision_node_session=x", "vision_node_session=y"], ["x", "y"]),
        (["vision_node_session="], []),
        (["vision_node_session"], []),
        (["Vision_Node_Session=x"], []),
        (["xvision_node_session=x; vision_node_sessionx=y"], []),
        (["a=vision_node_session=x"], []),
        ([";".join(f"vision_node_session={n}" for n in range(5))], []),
    ],
)
def test_all_sessions_of_a_request_are_found(lines: list[str], texts: list[str]) -> None:
    headers = Headers(raw=[(b"cookie", line.encode()) for line in lines])
    assert session_texts(headers) == texts


ATTRIBUTES = {"HttpOnly", "Max-Age=60", "SameSite=strict"}


@pytest.mark.parametrize(
    ("scope", "attributes"),
    [
        (scope_of([HOST]), {"Path=/"}),
        (scope_of([HOST], root_path="/apps/vision"), {"Path=/apps/vision"}),
        (scope_of([HOST], "https"), {"Path=/", "Secure"}),
        (scope_of([HOST, ("Origin", "https://api.example.com")]), {"Path=/", "Secure"}),
    ],
)
def test_cookie_is_only_for_the_server_and_its_page(scope: Scope, attributes: set[str]) -> None:
    response = Response()
    set_session(response, scope, "x.y-z_1", 60)
    value, *rest = response.headers["set-cookie"].split("; ")
    assert value == "vision_node_session=x.y-z_1"
    assert set(rest) == ATTRIBUTES | attributes


def test_cleared_cookie_has_the_same_path_and_ends_at_once() -> None:
    response = Response()
    clear_session(response, scope_of([HOST], "https", "/vision"))
    value, *rest = response.headers["set-cookie"].split("; ")
    assert value == 'vision_node_session=""'
    assert {"Max-Age=0", "Path=/vision", "Secure"} <= set(rest)
