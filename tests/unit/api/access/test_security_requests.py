"""Tests that no form of a request reaches a protected route without a key, on a real socket."""

from collections.abc import AsyncIterator, Callable

import pytest
from api_fakes import Cluster, FakeBucket
from api_server import Connection, serving
from http_requests import SUBMIT, get
from secured import SecuredApi
from vision_node_api.services.auth import refusals
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import WatchEvent

CANARY = "job-canary"
REFUSED = range(400, 500)

TARGETS = [
    "/jobs",
    "/jobs?",
    "/jobs?a=/healthz",
    "/jobs#/healthz",
    "/jobs/",
    "//jobs",
    "///jobs",
    "/./jobs",
    "/jobs/.",
    "/jobs//",
    "/jobs/../jobs",
    "/ui/../jobs",
    "/ui/%2e%2e/jobs",
    "/ui/..%2fjobs",
    "/ui/..%5cjobs",
    "/ui/..;/jobs",
    "/docs/../jobs",
    "/healthz/../jobs",
    "/healthz/..%2f..%2fjobs",
    "/problems/../jobs",
    "/problems/..%2fjobs",
    "/static-offline-docs/../jobs",
    "/static-offline-docs/..%2f..%2fjobs",
    "/session/../jobs",
    "/%6aobs",
    "/%6Aobs",
    "/%6a%6f%62%73",
    "/%256aobs",
    "/%2fjobs",
    "/jobs%2f",
    "/jobs%00",
    "/jobs%20",
    "/jobs%09",
    "/jobs%0a",
    "/jobs;a=b",
    "/jobs;/healthz",
    "/jobs/;/healthz",
    "/;/jobs",
    "/jobs.json",
    "/JOBS",
    "/Jobs",
    "/jobs\\..\\healthz",
    "/jobs/../keys",
    "/keys",
    "/%6beys",
    "/keys/aaaaaaaaaaaa",
    f"/status/{CANARY}",
    f"//status/{CANARY}",
    f"/status//{CANARY}",
    f"/status/{CANARY}/",
    "/status/%6aob-canary",
    f"/%73tatus/{CANARY}",
    f"/status%2f{CANARY}",
    f"/status/../status/{CANARY}",
    f"/status/x/../{CANARY}",
    f"/healthz/../status/{CANARY}",
    f"/result/{CANARY}",
    f"/jobs/{CANARY}",
    f"/jobs/{CANARY}/image",
    f"/jobs/{CANARY}/events",
    f"/jobs/{CANARY};a=b",
    "/jobs/export",
    "/events",
    "/batches",
    "/inbox",
    "/inbox/",
    "/limits",
    "/describers",
    "/whoami",
    "http://api/jobs",
    "http://api//jobs",
    "http://healthz/jobs",
    "https://elsewhere.example/jobs",
    "http://api/healthz/../jobs",
    f"http://api/status/{CANARY}",
]
"""Targets of protected routes, and targets that a server, or a proxy, may take for such ones."""

HEADERS: dict[str, tuple[bytes, ...]] = {
    "none": (),
    "an empty key": (b"Authorization:",),
    "only the scheme": (b"Authorization: Bearer",),
    "another scheme": (b"Authorization: Basic YWRtaW46YWRtaW4=",),
    "a word": (b"Authorization: Bearer null",),
    "an empty session": (b"Cookie: vision_node_session=",),
    "a forged session": (b"Cookie: vision_node_session=v1.e30.AAAA",),
    "another cookie": (b"Cookie: session=admin; admin=true",),
    "the address of a probe": (b"X-Original-URL: /healthz", b"X-Rewrite-URL: /healthz"),
    "a trusted address": (b"X-Forwarded-For: 127.0.0.1", b"X-Real-IP: 127.0.0.1"),
    "a path of a proxy": (b"X-Forwarded-Prefix: /healthz", b"X-Forwarded-Uri: /healthz"),
    "a user of a proxy": (
        b"X-Forwarded-User: admin",
        b"X-Remote-User: admin",
        b"Remote-User: admin",
    ),
    "an owner": (b"X-Owner: admin", b"Vision-Node-Owner: admin", b"Impersonate-User: admin"),
    "an upgrade": (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
    "a preflight": (b"Origin: http://api", b"Access-Control-Request-Method: GET"),
    "the same origin": (b"Origin: http://api", b"Sec-Fetch-Site: same-origin"),
}
"""Headers that are no key and no session."""

PUBLIC = ["/healthz", "/ui", "/problems", "/openapi.json"]


@pytest.fixture
def canary(cluster: Cluster, bucket: FakeBucket, jobs: Jobs) -> None:
    """A job that each request would find."""
    body = {
        "metadata": {"name": CANARY, "uid": "canary"},
        "spec": {"image": {"key": "images/canary"}},
    }
    jobs.cache.observe(WatchEvent("ADDED", [body]))


@pytest.fixture
async def port(secured_api: SecuredApi, canary: None) -> AsyncIterator[int]:
    """The port of a real socket on which uvicorn serves the API, which wants keys."""
    async with serving(secured_api.served) as port:
        yield port


@pytest.fixture(autouse=True)
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer at once, however many requests have no key."""
    monkeypatch.setattr(refusals, "DELAY_SECONDS", 0.0)


@pytest.fixture
def key(make_key: Callable[..., str]) -> str:
    return make_key("jane")


async def answers(port: int, request: bytes) -> bytes:
    """Send the bytes of requests, and return all that the server answers until it closes."""
    async with Connection.open(port) as connection:
        await connection.send(request)
        return await connection.ended()


def statuses(answer: bytes) -> list[int]:
    """Return the statuses of all responses in what a server has sent."""
    lines = answer.split(b"\r\n")
    return [int(line.split()[1]) for line in lines if line.startswith(b"HTTP/1.1 ")]


def closing(target: str, *headers: bytes, method: str = "GET") -> bytes:
    return get(target, *headers, b"Connection: close", method=method)


def assert_refused(answer: bytes) -> None:
    """Check that a server has answered, and that it told nothing of what is protected."""
    found = statuses(answer)
    assert found
    # 307: a redirect to the same path without the slash at its end tells nothing.
    assert all(status in REFUSED or status == 307 for status in found), answer
    assert b"queued" not in answer
    assert b"imageBytes" not in answer


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"]
)
async def test_no_target_reaches_a_protected_route_without_a_key(port: int, method: str) -> None:
    for target in TARGETS:
        assert_refused(await answers(port, closing(target, method=method)))


@pytest.mark.parametrize("case", HEADERS)
async def test_no_header_replaces_a_key(port: int, case: str) -> None:
    for target in ("/jobs", f"/status/{CANARY}", "/limits", "/keys"):
        headers = [it for it in HEADERS[case] if not it.startswith(b"Connection")]
        assert_refused(await answers(port, closing(target, *headers)))


@pytest.mark.parametrize("target", PUBLIC)
@pytest.mark.parametrize(
    "header", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Path"]
)
async def test_no_header_replaces_the_path_of_a_public_route(
    port: int, target: str, header: str
) -> None:
    override = f"{header}: /status/{CANARY}".encode()
    answer = await answers(port, closing(target, override))
    assert statuses(answer) == [200]
    assert CANARY.encode() not in answer


@pytest.mark.parametrize(
    "header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method"]
)
async def test_no_header_replaces_the_method(port: int, header: str) -> None:
    override = f"{header}: OPTIONS".encode()
    for method in ("GET", "POST", "DELETE"):
        assert_refused(await answers(port, closing(f"/jobs/{CANARY}", override, method=method)))
    assert_refused(await answers(port, closing("/jobs?_method=OPTIONS")))


async def test_options_tell_only_the_methods(port: int) -> None:
    answer = await answers(port, closing(f"/jobs/{CANARY}", method="OPTIONS"))
    assert statuses(answer)[0] in {204, 401}
    assert answer.endswith(b"\r\n\r\n") or b"Unauthenticated" in answer


@pytest.mark.parametrize("line", [b"GET /jobs HTTP/1.0", b"GET /jobs", b"get /jobs HTTP/1.1"])
async def test_older_and_invalid_request_lines_reach_nothing(port: int, line: bytes) -> None:
    answer = await answers(port, line + b"\r\nHost: api\r\nConnection: close\r\n\r\n")
    assert b"imageBytes" not in answer
    assert not [it for it in statuses(answer) if it < 400]


async def test_submission_without_a_key_stores_nothing(
    port: int, bucket: FakeBucket, cluster: Cluster
) -> None:
    request = SUBMIT.replace(b"Host: api", b"Host: api\r\nConnection: close")
    assert statuses(await answers(port, request)) == [401]
    assert (bucket.objects, cluster.jobs) == ({}, {})


FRAMES = {
    "a length and chunks": (
        b"POST /session HTTP/1.1\r\nHost: api\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunks and a length": (
        b"POST /session HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 4\r\n\r\n0\r\n\r\n"
    ),
    "two lengths": (
        b"POST /session HTTP/1.1\r\nHost: api\r\nContent-Length: 0\r\nContent-Length: 4\r\n\r\n"
    ),
    "a hidden encoding": (
        b"POST /session HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: xchunked\r\n\r\n"
    ),
    "an encoding after a tab": (
        b"POST /session HTTP/1.1\r\nHost: api\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n"
    ),
    "a body of GET": b"GET /healthz HTTP/1.1\r\nHost: api\r\nContent-Length: 0\r\n\r\n",
    "a pipeline": (
        b"GET /healthz HTTP/1.1\r\nHost: api\r\n\r\nGET /ui HTTP/1.1\r\nHost: api\r\n\r\n"
    ),
}
"""Requests about whose end servers may disagree, before another request."""


@pytest.mark.parametrize("case", FRAMES)
async def test_request_behind_another_one_is_refused_as_well(port: int, case: str) -> None:
    answer = await answers(port, FRAMES[case] + closing(f"/status/{CANARY}"))
    assert statuses(answer)
    assert b"queued" not in answer


HIDDEN = {
    "an underscore": b"Authorization_: Bearer %b",
    "another header": b"X-Authorization: Bearer %b",
    "a proxy's header": b"Proxy-Authorization: Bearer %b",
    "the continuation of another header": b"X-Other: a\r\n Authorization: Bearer %b",
    "a space before the colon": b"Authorization : Bearer %b",
    "a space before the name": b" Authorization: Bearer %b",
    "a header with the session's name": b"vision_node_session: %b",
    "the key as a cookie": b"Cookie: vision_node_session=%b",
    "the key as another cookie": b"Cookie: Authorization=Bearer %b",
    "two keys in one header": b"Authorization: Bearer %b, Bearer %b",
    "a scheme that begins like ours": b"Authorization: BearerX %b",
    "the key without a scheme": b"Authorization: %b",
    "the key in the scheme of passwords": b"Authorization: Basic %b",
    "a NUL behind the key": b"Authorization: Bearer %b\0",
    "two headers": b"Authorization: Bearer %b\r\nAuthorization: Bearer other",
    "two headers in another order": b"Authorization: Bearer other\r\nAuthorization: Bearer %b",
}
"""Ways to send a valid key that are not the documented one."""


@pytest.mark.parametrize("case", HIDDEN)
async def test_valid_key_counts_only_in_its_header(port: int, key: str, case: str) -> None:
    assert statuses(
        await answers(port, closing("/limits", f"Authorization: Bearer {key}".encode()))
    ) == [200]
    line = HIDDEN[case].replace(b"%b", key.encode())
    assert_refused(await answers(port, closing("/limits", line)))


@pytest.mark.parametrize("target", ["/limits?key=%s", "/limits?access_token=%s", "/limits#%s"])
async def test_key_in_the_address_does_not_count(port: int, key: str, target: str) -> None:
    assert_refused(await answers(port, closing(target % key)))
