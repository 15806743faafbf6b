"""Tests of the Kubernetes client against a fake API server on a real socket."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from vision_node_contract.clients import kube as module
from vision_node_contract.clients.kube import (
    AlreadyExistsError,
    ConflictError,
    GoneError,
    Kube,
    KubeError,
    NotFoundError,
    QuotaError,
    Selectors,
    UnavailableError,
    WatchEvent,
    backoff,
)
from vision_node_contract.clients.kube_auth import LINE_BYTES, Access
from vision_node_contract.clients.kube_errors import parse_error

PATH = "/apis/vision-node.dev/v1alpha1/namespaces/ns/imagejobs"

EVERYTHING = Selectors()


class Server:
    """A fake API server.

    Each list request gets the next item of `pages`, and each watch request gets the events of the
    next item of `watches`. An event can be raw bytes, and the event "break" aborts the connection.
    """

    def __init__(self) -> None:
        self.pages: list[dict[str, Any]] = []
        self.watches: list[list[Any]] = []
        self.requests: list[dict[str, str]] = []

    async def get(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.requests.append(query)
        if "watch" not in query:
            listed = self.pages.pop(0)
            status = 503 if "broken" in listed else listed.get("code", 200)
            return web.json_response(listed, status=status)

        response = web.StreamResponse()
        await response.prepare(request)
        for event in self.watches.pop(0):
            if event == "break":
                assert request.transport
                request.transport.abort()
                return response
            if isinstance(event, bytes):
                await response.write(event)
                continue
            await response.write(json.dumps(event).encode() + b"\n")

        return response


def page(version: int, *names: str, proceed: str = "") -> dict[str, Any]:
    items = [named(name, version) for name in names]
    return {"metadata": {"resourceVersion": str(version), "continue": proceed}, "items": items}


def named(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": named(name, version)}


GONE = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}


@pytest.fixture
def server() -> Server:
    return Server()


Connect = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[Kube]]


@pytest.fixture
async def connect(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    """A function that serves a handler and returns a Kubernetes client for it."""
    monkeypatch.setattr(module, "RETRY_SECONDS", (0.0, 0.0))
    closing: list[Any] = []

    async def run(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Kube:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        session = aiohttp.ClientSession(read_bufsize=LINE_BYTES)
        closing.extend([session.close, runner.cleanup])

        return Kube(Access(session, f"http://{host}:{port}"))

    yield run
    for close in closing:
        await close()


async def take(
    kube: Kube, count: int, selectors: Selectors = EVERYTHING
) -> list[tuple[str, list[str]]]:
    """Return the type and the names in each of the first `count` events from follow()."""
    seen: list[tuple[str, list[str]]] = []
    follow = kube.follow(PATH, selectors)

    async for found in follow:
        seen.append(type_and_names(found))
        if len(seen) == count:
            break

    await follow.aclose()  # type: ignore[attr-defined]
    return seen


def type_and_names(found: WatchEvent) -> tuple[str, list[str]]:
    return found.type, [body["metadata"]["name"] for body in found.objects] or sorted(found.names)


async def test_follow_lists_pages_then_watches(server: Server, connect: Connect) -> None:
    server.pages = [page(5, "a", proceed="more"), page(5, "b")]
    server.watches = [[event("MODIFIED", "a", 6), event("DELETED", "b", 7)]]
    kube = await connect(server.get)
    selectors = Selectors(labels="x=y", fields="status.worker=w")

    assert await take(kube, 5, selectors) == [
        ("PAGE", ["a"]),
        ("PAGE", ["b"]),
        ("SYNCED", ["a", "b"]),
        ("MODIFIED", ["a"]),
        ("DELETED", ["b"]),
    ]

    first, second, watch = server.requests
    assert (first["labelSelector"], first["fieldSelector"]) == ("x=y", "status.worker=w")
    assert second["continue"] == "more"
    assert (watch["resourceVersion"], watch["allowWatchBookmarks"]) == ("5", "true")


async def test_ended_watch_resumes_at_the_last_event_or_bookmark(
    server: Server, connect: Connect
) -> None:
    server.pages = [page(5)]
    server.watches = [
        [event("ADDED", "a", 6), event("BOOKMARK", "", 30)],
        [event("ADDED", "b", 31)],
    ]
    kube = await connect(server.get)
    assert await take(kube, 4) == [("PAGE", []), ("SYNCED", []), ("ADDED", ["a"]), ("ADDED", ["b"])]
    assert [r["resourceVersion"] for r in server.requests if "watch" in r] == ["5", "30"]


async def test_bookmarks_and_the_end_of_a_watch_count_as_activity(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BRIEF_SECONDS", 0.0)
    server.watches = [[event("BOOKMARK", "", 30)], []]
    kube = await connect(server.get)

    async for _ in kube.watch("/a", "1"):
        assert kube.last_activity.keys() == {"/a"}
    async for _ in kube.watch("/b", "1"):
        pytest.fail("this watch has no events")

    assert kube.last_activity.keys() == {"/a", "/b"}


async def test_watch_that_ends_immediately_does_not_count_as_activity(
    server: Server, connect: Connect
) -> None:
    server.watches = [[]]
    kube = await connect(server.get)
    with pytest.raises(UnavailableError, match="ended immediately"):
        [event async for event in kube.watch("/a", "1")]
    assert kube.last_activity == {}


async def test_expired_version_causes_a_new_list(server: Server, connect: Connect) -> None:
    server.pages = [page(5, "a"), page(9, "b")]
    server.watches = [[GONE], []]
    kube = await connect(server.get)
    seen = [event for event in await take(kube, 4) if event[0] == "SYNCED"]
    assert seen == [("SYNCED", ["a"]), ("SYNCED", ["b"])]


async def test_broken_watch_resumes_at_the_last_event(server: Server, connect: Connect) -> None:
    server.pages = [page(5)]
    server.watches = [["break"], [event("ADDED", "a", 6), "break"], [event("ADDED", "b", 7)]]
    kube = await connect(server.get)
    assert (await take(kube, 4))[2:] == [("ADDED", ["a"]), ("ADDED", ["b"])]
    assert [r["resourceVersion"] for r in server.requests if "watch" in r] == ["5", "5", "6"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ADDED","obj',
        b"x" * (2 * LINE_BYTES),
        b"[]\n",
        b'{"kind":"Table"}\n',
        b'{"type":"ADDED"}\n',
        b'{"type":"ERROR","object":{}}\n',
    ],
    ids=["incomplete", "too long", "not an object", "not an event", "empty event", "empty error"],
)
async def test_watch_with_an_unreadable_line_is_retried(
    server: Server, connect: Connect, caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    server.pages = [page(5)]
    server.watches = [[event("ADDED", "a", 6), line], [event("ADDED", "b", 7)]]
    kube = await connect(server.get)
    assert (await take(kube, 4))[2:] == [("ADDED", ["a"]), ("ADDED", ["b"])]
    (record,) = caplog.records
    assert f"retrying the watch of {PATH}: WatchBroken" in record.message


async def test_watches_that_end_immediately_are_retried_with_backoff(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[int] = []
    monkeypatch.setattr(module, "backoff", lambda count, *_: failures.append(count) or 0.0)
    server.pages = [page(5)]
    server.watches = [[], [], [event("ADDED", "a", 6)], [], [event("ADDED", "b", 7)]]
    await take(await connect(server.get), 4)
    assert failures == [0, 1, 0]


async def test_changes_end_when_their_version_has_expired(server: Server, connect: Connect) -> None:
    server.watches = [[event("MODIFIED", "a", 6)], ["break"], [event("DELETED", "a", 7)], [GONE]]
    changes = (await connect(server.get)).changes(PATH, "5")
    seen = [type_and_names(await anext(changes)) for _ in range(2)]
    with pytest.raises(GoneError):
        await anext(changes)

    assert seen == [("MODIFIED", ["a"]), ("DELETED", ["a"])]
    assert [r["resourceVersion"] for r in server.requests] == ["5", "6", "6", "7"]


def expired(proceed: str) -> dict[str, Any]:
    return {"kind": "Status", "code": 410, "reason": "Expired", "metadata": {"continue": proceed}}


EXPIRED_LISTS = [
    ("may be inconsistent", False, [expired("now"), page(9, "b")], [(["a"], "5"), (["b"], "9")]),
    ("must be consistent", True, [expired("now")], [(["a"], "5")]),
    ("can't go on", False, [expired("")], [(["a"], "5")]),
    ("expires again at once", False, [expired("now"), expired("now")], [(["a"], "5")]),
]


@pytest.mark.parametrize(
    ("case", "consistent", "answers", "expected"), EXPIRED_LISTS, ids=[c[0] for c in EXPIRED_LISTS]
)
async def test_list_that_expires_between_pages_continues_only_if_it_may_be_inconsistent(
    server: Server,
    connect: Connect,
    case: str,
    *,
    consistent: bool,
    answers: list[dict[str, Any]],
    expected: list[tuple[list[str], str]],
) -> None:
    server.pages = [page(5, "a", proceed="more"), *answers]
    seen: list[tuple[list[str], str]] = []
    is_complete = False
    with contextlib.suppress(GoneError):
        async for objects, version in (await connect(server.get)).list_pages(
            PATH, consistent=consistent
        ):
            seen.append(([body["metadata"]["name"] for body in objects], version))
        is_complete = True

    assert (seen, is_complete) == (expected, case == "may be inconsistent")
    tokens = [request.get("continue") for request in server.requests]
    assert tokens == [None, "more", "now"][: len(tokens)]


async def test_list_that_breaks_between_pages_is_restarted(
    server: Server, connect: Connect
) -> None:
    server.pages = [page(5, "a", proceed="more"), {"broken": True}, page(6, "a", "b")]
    server.watches = [[]]
    kube = await connect(server.get)
    assert (await take(kube, 3))[-1] == ("SYNCED", ["a", "b"])


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (404, "NotFound", NotFoundError),
        (409, "AlreadyExists", AlreadyExistsError),
        (409, "Conflict", ConflictError),
        (410, "Expired", GoneError),
        (422, "Invalid", KubeError),
        (403, "Forbidden", KubeError),
        (429, "TooManyRequests", UnavailableError),
        (500, "InternalError", UnavailableError),
        (503, "ServiceUnavailable", UnavailableError),
    ],
)
async def test_error_responses_raise_typed_errors(
    connect: Connect, status: int, reason: str, expected: type[KubeError]
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"reason": reason, "message": "because"}, status=status)

    kube = await connect(refuse)
    with pytest.raises(KubeError) as caught:
        await kube.request("GET", PATH)

    assert type(caught.value) is expected
    assert (caught.value.reason, caught.value.message) == (reason, "because")


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", b"[1]", b"\xff\xfe"])
def test_error_bodies_need_not_be_status_objects(body: bytes) -> None:
    assert isinstance(parse_error(502, body), UnavailableError)


@pytest.mark.parametrize(
    ("status", "text"), [(200, "<html>"), (302, "<html>"), (200, "[]"), (200, "null")]
)
async def test_response_that_is_not_a_json_object_raises_unavailable_error(
    connect: Connect, status: int, text: str
) -> None:
    async def portal(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers={"Location": "/"})

    with pytest.raises(UnavailableError, match=f"GET {PATH}"):
        await (await connect(portal)).request("GET", PATH)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"status": "ok"},
        {"items": None, "metadata": {"resourceVersion": "1"}},
        {"items": []},
        {"items": [], "metadata": {}},
    ],
    ids=str,
)
async def test_response_that_is_not_a_list_raises_unavailable_error(
    connect: Connect, answer: dict[str, Any]
) -> None:
    async def proxy(_: web.Request) -> web.Response:
        return web.json_response(answer)

    with pytest.raises(UnavailableError, match=f"GET {PATH}"):
        await anext((await connect(proxy)).list_pages(PATH))


async def test_patches_are_merge_patches(connect: Connect) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response(
            {"type": request.headers["Content-Type"], "body": await request.json()}
        )

    kube = await connect(echo)
    answer = await kube.request("PATCH", PATH, body={"status": {"worker": None}})
    assert answer == {"type": "application/merge-patch+json", "body": {"status": {"worker": None}}}


async def test_refused_connection_to_the_api_server_raises_unavailable_error() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(UnavailableError):
            await Kube(Access(session, "http://127.0.0.1:9")).request("GET", PATH)


@pytest.mark.parametrize(
    ("case", "status", "message", "expected"),
    [
        (
            "roles are not loaded yet",
            403,
            'imagejobs is forbidden: User "x" cannot patch resource',
            UnavailableError,
        ),
        ("accounts are not loaded yet", 401, "Unauthorized", UnavailableError),
        (
            "refused by a policy",
            403,
            "imagejobs is forbidden: ValidatingAdmissionPolicy 'p' denied",
            KubeError,
        ),
        ("refused by a quota", 403, "x is forbidden: exceeded quota: q, used: 5", QuotaError),
        ("quota not counted yet", 403, "x is forbidden: status unknown for quota: q", QuotaError),
        ("not a refusal by a quota", 403, 'x "exceeded quota: q" is forbidden: no', KubeError),
        ("not a 403", 400, "x is forbidden: exceeded quota: q", KubeError),
    ],
)
def test_refusals_are_told_apart_by_their_messages(
    case: str, status: int, message: str, expected: type[KubeError]
) -> None:
    """An API server that has just started has not loaded all accounts and roles yet.

    It says so with the same status and reason with which it reports a policy or a quota.
    """
    assert type(parse_error(status, {"message": message})) is expected, case


def test_backoff_has_a_maximum() -> None:
    assert all(0 <= backoff(n, 0.1, 10) <= 10 for n in range(2000))
    assert all(backoff(n, 0.1, 10) <= 0.1 * 2**n for n in range(5))
