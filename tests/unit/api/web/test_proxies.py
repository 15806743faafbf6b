"""Requests through proxies: who is believed, and where links and redirects lead below a path."""

from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from api_fakes import picture
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from vision_node_api.middleware.proxy_headers import ProxyHeadersMiddleware
from vision_node_api.middleware.redirects import relative_location
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.services.jobs import Jobs
from vision_node_api.web.forwarded import read_forwarded, read_prefix
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.proxies import TrustedProxies, parse_address
from vision_node_api.web.root_path import parse_root_path, route_path, with_root_path
from vision_node_contract.clients.kube import WatchEvent

PROXY, STRANGER = "10.1.2.3", "192.0.2.9"
TRUSTED = TrustedProxies(["10.0.0.0/8", "fd00::/8"])


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what the application is told of the request."""
    request = Request(scope)
    told = {
        "url": str(request.url),
        "client": scope["client"][0],
        "root_path": scope.get("root_path", ""),
        "path": scope["path"],
    }
    await JSONResponse(told)(scope, receive, send)


async def seen(
    headers: Any, peer: str = PROXY, path: str = "/status/x", root_path: str = ""
) -> Any:
    """Return what the application is told of a request that arrives with those headers from there."""
    app = ProxyHeadersMiddleware(tell, TRUSTED, root_path)
    transport = httpx.ASGITransport(app, client=(peer, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://api:8000") as client:
        return (await client.get(path, headers=headers)).json()


DIRECT = {"url": "http://api:8000/status/x", "client": PROXY, "root_path": "", "path": "/status/x"}

BELIEVED: dict[str, tuple[Any, dict[str, str]]] = {
    "nothing": ({}, {}),
    "the scheme": ({"X-Forwarded-Proto": "https"}, {"url": "https://api:8000/status/x"}),
    "the scheme in capitals": (
        {"X-Forwarded-Proto": "HTTPS"},
        {"url": "https://api:8000/status/x"},
    ),
    "the host": ({"X-Forwarded-Host": "a.example"}, {"url": "http://a.example/status/x"}),
    "host and port": (
        {"X-Forwarded-Host": "a.example:8443"},
        {"url": "http://a.example:8443/status/x"},
    ),
    "a host of IPv6": (
        {"X-Forwarded-Host": "[2001:db8::1]:8"},
        {"url": "http://[2001:db8::1]:8/status/x"},
    ),
    "the client": ({"X-Forwarded-For": "192.0.2.1"}, {"client": "192.0.2.1"}),
    "the client's port": ({"X-Forwarded-For": "192.0.2.1:99"}, {"client": "192.0.2.1"}),
    "a client of IPv6": ({"X-Forwarded-For": "2001:db8::1"}, {"client": "2001:db8::1"}),
    "what a client made up": ({"X-Forwarded-For": "1.1.1.1, 192.0.2.1"}, {"client": "192.0.2.1"}),
    "two proxies": (
        {
            "X-Forwarded-For": "1.1.1.1, 192.0.2.1, 10.9.9.9",
            "X-Forwarded-Proto": "ftp, https, http",
            "X-Forwarded-Host": "evil.example, a.example, inner",
        },
        {"url": "https://a.example/status/x", "client": "192.0.2.1"},
    ),
    "two proxies, the second of which replaces": (
        {"X-Forwarded-For": "192.0.2.1, 10.9.9.9", "X-Forwarded-Proto": "https"},
        {"url": "https://api:8000/status/x", "client": "192.0.2.1"},
    ),
    "a header for each proxy": (
        [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "10.9.9.9")],
        {"client": "192.0.2.1"},
    ),
    "only proxies": ({"X-Forwarded-For": "10.0.0.1, 10.0.0.2"}, {"client": "10.0.0.1"}),
    "RFC 7239": (
        {"Forwarded": 'for="[2001:db8::1]:47"; proto=https ;host="a.example"'},
        {"url": "https://a.example/status/x", "client": "2001:db8::1"},
    ),
    "RFC 7239, two proxies": (
        {"Forwarded": "For=1.1.1.1;Proto=ftp, for=192.0.2.1;proto=https, for=10.9.9.9;proto=http"},
        {"url": "https://api:8000/status/x", "client": "192.0.2.1"},
    ),
    "the proxy's headers, not what a client made up": (
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

UNBELIEVABLE: dict[str, dict[str, str]] = {
    "no scheme": {"X-Forwarded-Proto": "javascript"},
    "no host": {"X-Forwarded-Host": "a.example/x"},
    "a user": {"X-Forwarded-Host": "user@a.example"},
    "a space": {"X-Forwarded-Host": "a.example b"},
    "an empty host": {"X-Forwarded-Host": ""},
    "no address": {"X-Forwarded-For": "unknown"},
    "half an address": {"X-Forwarded-For": "300.1.1.1"},
    "a host's path": {"X-Forwarded-Prefix": "//evil.example"},
    "an address": {"X-Forwarded-Prefix": "https://evil.example"},
    "a path that climbs": {"X-Forwarded-Prefix": "/vision/../../etc"},
    "no path": {"X-Forwarded-Prefix": "vision"},
    "a backslash": {"X-Forwarded-Prefix": "/\\evil.example"},
    "a line break": {"X-Forwarded-Prefix": "/a%0d%0aSet-Cookie:x"},
    "markup": {"X-Forwarded-Prefix": '/"><script>'},
    "a query": {"X-Forwarded-Prefix": "/a?b"},
    "one of our own": {"X-Forwarded-Prefix": "/status"},
    "a long path": {"X-Forwarded-Prefix": "/" + "a" * 255},
    "half of RFC 7239": {"Forwarded": 'for="unclosed;proto=https'},
}


@pytest.mark.parametrize("case", BELIEVED)
async def test_a_trusted_proxy_is_believed(case: str) -> None:
    headers, told = BELIEVED[case]
    assert await seen(headers) == {**DIRECT, **told}


@pytest.mark.parametrize("case", [case for case in BELIEVED if case != "nothing"])
@pytest.mark.parametrize("peer", [STRANGER, "2001:db8::9", "testclient"])
async def test_nobody_else_is(case: str, peer: str) -> None:
    assert await seen(BELIEVED[case][0], peer) == {**DIRECT, "client": peer}


@pytest.mark.parametrize("case", UNBELIEVABLE)
async def test_what_can_not_be_is_ignored(case: str) -> None:
    assert await seen(UNBELIEVABLE[case]) == DIRECT


@pytest.mark.parametrize(
    "case", [case for case in UNBELIEVABLE if "Prefix" in str(UNBELIEVABLE[case])]
)
async def test_the_values_hold_where_a_proxy_tells_no_sound_path(case: str) -> None:
    found = await seen(UNBELIEVABLE[case], root_path="/apps/vision")
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
async def test_prefixes(prefix: str, root_path: str) -> None:
    found = await seen({"X-Forwarded-Prefix": prefix}, root_path="/value")
    assert (found["root_path"], found["path"]) == (root_path, f"{root_path}/status/x")


@pytest.mark.parametrize("peer", ["::ffff:10.1.2.3", "fd12::1"])
async def test_a_proxy_may_come_by_ipv6(peer: str) -> None:
    assert (await seen({"X-Forwarded-For": "192.0.2.1"}, peer))["client"] == "192.0.2.1"


async def test_a_peer_without_an_address_is_not_trusted() -> None:
    """Uvicorn has none for a Unix socket."""
    scope = {"type": "http", "client": None, "headers": [(b"x-forwarded-proto", b"https")]}
    passed: list[Scope] = []

    async def take(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope)

    nothing: Any = None
    await ProxyHeadersMiddleware(take, TRUSTED, "")({**scope, "path": "/"}, nothing, nothing)
    assert "scheme" not in passed[0]


@pytest.mark.parametrize("network", ["10.0.0.0/33", "proxy.example.com", "10.0.0.0/8;", ""])
def test_a_network_that_is_none_is_refused_at_the_start(network: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        TrustedProxies([network])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1:80 ", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[192.0.2.1", None),
        ("_hidden", None),
        ("", None),
        ("1\n", None),
    ],
)
def test_addresses(text: str, address: str | None) -> None:
    found = parse_address(text)
    assert (str(found) if found else None) == address


@pytest.mark.parametrize(
    ("line", "hosts"),
    [
        ('host=a;;, host="b\\"c"', ["a", 'b"c']),
        ("HOST=a,host=b", ["a", "b"]),
        ("host=a, host=b bad, host=c", ["a"]),
        ('by="_x;host=no";host=yes', ["yes"]),
        ("", []),
    ],
)
def test_forwarded(line: str, hosts: list[str]) -> None:
    assert read_forwarded(Headers({"Forwarded": line})).hosts == hosts


def test_no_prefix_is_not_an_empty_one() -> None:
    assert read_prefix(Headers({})) is None
    assert read_prefix(Headers({"X-Forwarded-Prefix": ""})) == ""


@pytest.mark.parametrize(
    "text", ["vision", "/a//b", "/a/./b", "/..", "/a b", "/ä", "/a\n", "/ui", "/status/x", "//"]
)
def test_a_root_path_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="root path"):
        parse_root_path(text)


@pytest.mark.parametrize(
    ("path", "root_path", "full"),
    [
        ("/status/x", "", "/status/x"),
        ("/status/x", "/vision", "/vision/status/x"),
        ("/vision/status/x", "/vision", "/vision/status/x"),
        ("/visionary", "/vision", "/vision/visionary"),
        ("/", "/vision", "/vision/"),
        ("/vision", "/vision", "/vision"),
    ],
)
def test_the_path_is_below_the_root_path_whether_or_not_it_was_removed(
    path: str, root_path: str, full: str
) -> None:
    scope = with_root_path({"path": path, "raw_path": path.encode()}, root_path)
    assert (scope["path"], scope["raw_path"]) == (full, full.encode())
    assert route_path(scope) == full.removeprefix(root_path)


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("http://api/ui", "/ui"),
        ("http://api/ui?a=b", "/ui?a=b"),
        ("https://api/ui", "/ui"),
        ("/ui", "/ui"),
        ("https://elsewhere.example/ui", "https://elsewhere.example/ui"),
        ("http://api//evil.example", "http://api//evil.example"),
        ("http://api/\\evil.example", "http://api/\\evil.example"),
        ("http://api", "http://api"),
    ],
)
def test_a_redirect_names_no_host(location: str, sent: str) -> None:
    scope = {"type": "http", "path": "/ui/", "scheme": "http", "headers": [(b"host", b"api")]}
    assert relative_location(location, scope) == sent


STRIPPED, KEPT, VALUE, HEADER = "prefix removed", "prefix kept", "by value", "by header"

WAYS = [(STRIPPED, VALUE), (KEPT, VALUE), (STRIPPED, HEADER), (KEPT, HEADER)]


class Site:
    """A client of the API below /apps/vision, behind a proxy that ends TLS."""

    root = "https://example.com/apps/vision"

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._path = path
        transport = httpx.ASGITransport(app, client=(PROXY, 1))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://pod:8000")

    async def send(self, method: str, address: str, **kwargs: Any) -> httpx.Response:
        """Send a request for an address of the site as the proxy would."""
        path = address.removeprefix("https://example.com")
        if self._path == STRIPPED:
            path = path.removeprefix("/apps/vision") or "/"
        return await self.client.request(method, path, **kwargs)

    def target(self, address: str, answer: httpx.Response) -> str:
        """Return the address that a client takes an answer's Location for."""
        return urljoin(address, answer.headers["location"])


@pytest.fixture(params=WAYS, ids=" ".join)
def site(request: pytest.FixtureRequest, app: FastAPI) -> Site:
    path, told = request.param
    root_path = "/apps/vision" if told == VALUE else ""
    trusted = TrustedProxies([] if told == VALUE else [PROXY])
    settings = HttpSettings(root_path=root_path, trusted_proxies=trusted)
    site = Site(add_middleware(app, settings, app.state.metrics), path)

    if told == HEADER:
        said = {"Proto": "https", "Host": "example.com", "For": STRANGER, "Prefix": "/apps/vision"}
        site.client.headers.update({f"X-Forwarded-{name}": value for name, value in said.items()})

    return site


@pytest.mark.parametrize(
    ("start", "end"),
    [("/", "/ui"), ("/ui/", "/ui"), ("/describers/?a=b", "/describers?a=b"), ("/docs/", "/docs")],
)
async def test_redirects_stay_below_the_path(site: Site, start: str, end: str) -> None:
    address = site.root + start
    answer = await site.send("GET", address)
    assert answer.status_code == 307
    assert answer.headers["location"] == f"/apps/vision{end}"
    assert site.target(address, answer) == site.root + end


async def test_the_bare_path_leads_to_the_page(site: Site) -> None:
    """The first redirect may only add the slash that is missing."""
    address = site.root
    for _ in range(2):
        answer = await site.send("GET", address)
        if answer.status_code == 200:
            break
        address = site.target(address, answer)
    assert address == f"{site.root}/ui"


async def test_a_submit_leads_to_its_status(site: Site, jobs: Jobs) -> None:
    address = f"{site.root}/submit"
    answer = await site.send("POST", address, files={"file": ("photo.png", picture())})
    location = site.target(address, answer)
    assert location == f"{site.root}/status/{answer.json()['job_id']}"
    assert (await site.send("GET", location)).json()["status"] == "queued"


async def test_polls_of_known_jobs_are_answered_below_it_too(site: Site, jobs: Jobs) -> None:
    body = {"metadata": {"name": "job-a", "uid": "u"}, "spec": {"image": {"key": "images/a"}}}
    jobs.cache.observe(WatchEvent("ADDED", [body]))
    for method in ("GET", "HEAD"):
        answer = await site.send(method, f"{site.root}/status/job-a")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


async def test_a_problem_names_the_path_that_the_client_knows(site: Site) -> None:
    answer = await site.send("GET", f"{site.root}/status/job-b")
    assert answer.json()["instance"] == "/apps/vision/status/job-b"


async def test_the_documentation_names_its_parts_below_it(site: Site) -> None:
    page = (await site.send("GET", f"{site.root}/docs")).text
    parts = [word for word in page.split('"') if word.endswith((".js", ".css", ".svg"))]
    assert len(parts) == 3

    for part in parts:
        address = urljoin(f"{site.root}/docs", part)
        assert address.startswith(site.root)
        assert (await site.send("GET", address)).status_code == 200

    assert "'/apps/vision/openapi.json'" in page

    document = (await site.send("GET", f"{site.root}/openapi.json")).json()
    assert document["servers"] == [{"url": "/apps/vision"}]


async def test_the_page_names_its_parts_below_it(site: Site) -> None:
    page = (await site.send("GET", f"{site.root}/ui")).text
    parts = {word for word in page.split('"') if word.startswith("ui/")}
    assert len(parts) > 5
    for part in parts:
        address = urljoin(f"{site.root}/ui", part)
        assert (await site.send("GET", address)).status_code == 200


async def test_probes_come_without_the_path(app: FastAPI) -> None:
    served = add_middleware(app, HttpSettings(root_path="/vision"), app.state.metrics)
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.9:8000") as client:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(path)).status_code == 200


async def test_documents_of_one_path_do_not_name_another(app: FastAPI) -> None:
    trusted = TrustedProxies([PROXY])
    site = Site(add_middleware(app, HttpSettings(trusted_proxies=trusted), app.state.metrics), KEPT)
    for prefix in ("/a", "/b"):
        headers = {"X-Forwarded-Prefix": prefix}
        document = (await site.client.get("/openapi.json", headers=headers)).json()
        assert document["servers"] == [{"url": prefix}]
    assert "servers" not in (await site.client.get("/openapi.json")).json()


async def test_without_settings_a_prefix_is_a_part_of_the_path(client: httpx.AsyncClient) -> None:
    headers = {"X-Forwarded-Prefix": "/vision", "X-Forwarded-Proto": "https"}
    assert (await client.get("/vision/ui", headers=headers)).status_code == 404
    answer = await client.get("/", headers=headers)
    assert answer.headers["location"] == "/ui"
