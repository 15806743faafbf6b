"""A message is sent to the addresses that were checked, and to no others; each attempt is short."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network

import pytest
import trustme
from fakes.proxy import proxying
from fakes.receivers import receiving
from vision_node_contract.callbacks.addresses import Address
from vision_node_contract.callbacks.urls import CallbackRules
from vision_node_contract.clients import outbound
from vision_node_operator.archiver.webhooks import sender as module
from vision_node_operator.archiver.webhooks.lookup import system_lookup
from vision_node_operator.archiver.webhooks.sender import Outcome, Sender
from vision_node_operator.archiver.webhooks.turns import Place

ALLOWED = "127.0.0.1"
FORBIDDEN = "127.0.0.2"
"""A loopback address that no rule of these tests allows. Real receivers listen on it."""

RULES = CallbackRules((ip_network(f"{ALLOWED}/32"),), allow_http=True)
HEADERS = {"Content-Type": "application/json", "webhook-id": "m1"}
BODY = b'{"type": "imagejob.done"}'


class Names:
    """A name server whose answers differ from question to question."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, name: str) -> list[Address]:
        self.asked.append(name)
        found = self.answers[min(len(self.asked), len(self.answers)) - 1]
        return [ip_address(it) for it in found]


Send = Callable[..., Awaitable[Outcome]]


@pytest.fixture
def send(threads: ThreadPoolExecutor) -> Send:
    """Return a function that sends a message."""

    async def to(
        url: str,
        lookup: Callable[[str], Sequence[Address]] = system_lookup,
        rules: CallbackRules = RULES,
        context: ssl.SSLContext | None = None,
    ) -> Outcome:
        sender = Sender(rules, context or outbound.tls(), threads, lookup)
        return await sender.send(url, HEADERS, BODY, Place("anna", "h"))

    return to


async def test_message_is_delivered(send: Send) -> None:
    async with receiving(ALLOWED) as receiver:
        outcome = await send(f"{receiver.base}/hook?a=%20b")

    assert outcome == Outcome(204)
    (found,) = receiver.received
    assert (found.path, found.body) == ("/hook?a=%20b", BODY)
    assert found.headers["Content-Type"] == "application/json"
    assert found.headers["webhook-id"] == "m1"
    assert "Cookie" not in found.headers


async def test_name_is_resolved_once_and_kept(send: Send) -> None:
    """The second answer of the name server is the address of a trap (DNS rebinding)."""
    async with receiving(ALLOWED) as receiver, receiving(FORBIDDEN, port=receiver.port) as trap:
        names = Names([ALLOWED], [FORBIDDEN])
        outcome = await send(f"http://hooks.example.com:{receiver.port}/x", names)

    assert outcome == Outcome(204)
    assert names.asked == ["hooks.example.com"]
    assert receiver.received[0].headers["Host"] == f"hooks.example.com:{receiver.port}"
    assert not trap.received


@pytest.mark.parametrize(
    "addresses",
    [
        [FORBIDDEN],
        [ALLOWED, FORBIDDEN],
        [FORBIDDEN, ALLOWED],
        [*([ALLOWED] * 20), FORBIDDEN],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["169.254.169.254"],
        ["8.8.8.8", "10.0.0.1"],
    ],
)
async def test_name_with_any_forbidden_address_is_refused(send: Send, addresses: list[str]) -> None:
    async with receiving(ALLOWED) as receiver, receiving(FORBIDDEN, port=receiver.port) as trap:
        outcome = await send(f"http://hooks.example.com:{receiver.port}/", Names(addresses))

    assert outcome.is_final
    assert (outcome.error or "").startswith("CallbackURLNotAllowed: ")
    assert not any(it in str(outcome.error) for it in addresses), "whoever asks learns no address"
    assert not receiver.received
    assert not trap.received


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirect_is_followed_with_the_same_message(send: Send, status: int) -> None:
    async with receiving(ALLOWED) as first, receiving(ALLOWED) as second:
        first.status, first.headers = status, {"Location": f"{second.base}/moved"}
        assert await send(f"{first.base}/hook") == Outcome(204)

    assert [(it.path, it.body) for it in second.received] == [("/moved", BODY)]
    assert second.received[0].headers["webhook-id"] == "m1"


@pytest.mark.parametrize(
    "location",
    [
        f"http://{FORBIDDEN}:PORT/",
        f"//{FORBIDDEN}:PORT/",
        "http://2130706434:PORT/",
        "http://0x7f.0.0.2:PORT/",
        "http://[::ffff:127.0.0.2]:PORT/",
        "http://[::1]:PORT/",
        "http://user@127.0.0.1:PORT/",
        "http://trap.example.com:PORT/",
        "http://localhost:PORT/",
        "file:///etc/passwd",
        "gopher://127.0.0.2:PORT/",
        "http://169.254.169.254/latest/meta-data/",
        "http://kubernetes.default.svc/",
    ],
)
async def test_redirect_is_checked_like_a_url(send: Send, location: str) -> None:
    async with receiving(ALLOWED) as receiver, receiving(FORBIDDEN, port=receiver.port) as trap:
        receiver.status = 307
        receiver.headers = {"Location": location.replace("PORT", str(receiver.port))}
        names = Names([ALLOWED], [FORBIDDEN])
        outcome = await send(f"http://hooks.example.com:{receiver.port}/", names)

    assert outcome.is_final
    assert (outcome.error or "").startswith("CallbackURLNotAllowed: ")
    assert len(receiver.received) == 1
    assert not trap.received


async def test_redirect_may_be_relative(send: Send) -> None:
    async with receiving(ALLOWED) as receiver:
        receiver.status, receiver.headers = 308, {"Location": "../next?x=1"}
        outcome = await send(f"{receiver.base}/a/b")

    assert outcome.error == "TooManyRedirects: The receiver redirected more than 3 times."
    assert not outcome.is_final
    assert [it.path for it in receiver.received] == ["/a/b", *(["/next?x=1"] * 3)]


async def test_http_is_refused_unless_it_is_allowed(send: Send) -> None:
    rules = CallbackRules(RULES.allowed_networks)
    async with receiving(ALLOWED) as receiver:
        outcome = await send(f"{receiver.base}/", rules=rules)
    assert outcome.is_final
    assert not receiver.received


async def test_certificate_must_be_that_of_the_name(send: Send) -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example.com").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async with receiving(ALLOWED, server) as receiver:
        port = receiver.port
        names = Names([ALLOWED])
        right = await send(f"https://hooks.example.com:{port}/", names, context=trusting)
        wrong = await send(f"https://other.example.com:{port}/", names, context=trusting)
        unknown = await send(f"https://hooks.example.com:{port}/", names)

    assert right == Outcome(204)
    text = "TLSFailed: The receiver's certificate is not trusted, or TLS failed."
    assert wrong == unknown == Outcome(error=text)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Outcome(200)),
        (299, {}, Outcome(299)),
        (303, {"Location": "/x"}, (False, None)),
        (304, {}, (False, None)),
        (307, {}, (False, None)),
        (400, {}, (False, None)),
        (410, {}, (True, None)),
        (429, {"Retry-After": "30"}, (False, 30.0)),
        (500, {"Retry-After": "30"}, (False, None)),
        (503, {"Retry-After": "30"}, (False, 30.0)),
        (503, {"Retry-After": "soon"}, (False, None)),
    ],
)
async def test_status_decides(
    send: Send, status: int, headers: dict[str, str], expected: Outcome | tuple[bool, float | None]
) -> None:
    async with receiving(ALLOWED) as receiver:
        receiver.status, receiver.headers = status, headers
        outcome = await send(f"{receiver.base}/")

    if isinstance(expected, tuple):
        error = f"ReceiverRefused: The receiver answered with status {status}."
        is_final, retry_after = expected
        expected = Outcome(status, error, is_final=is_final, retry_after=retry_after)
    assert outcome == expected
    assert len(receiver.received) == 1


async def test_attempt_is_short(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOTAL_SECONDS", 0.2)
    async with receiving(ALLOWED) as receiver:
        receiver.answers.clear()
        outcome = await send(f"{receiver.base}/")
    assert (outcome.error or "").startswith("ReceiverTooSlow: ")


async def test_silent_name_server_takes_only_the_time_of_the_attempt(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOTAL_SECONDS", 0.2)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def silent(name: str) -> list[Address]:
        asyncio.run_coroutine_threadsafe(ended.wait(), loop).result(10)
        return []

    outcome = await send("http://hooks.example.com/", silent)
    ended.set()
    assert (outcome.error or "").startswith("ReceiverTooSlow: ")


async def test_unknown_name_is_tried_again(send: Send) -> None:
    outcome = await send("http://does-not-exist.invalid/")
    assert outcome == Outcome(error="NameNotResolved: The host of the URL can't be resolved.")


async def test_closed_port_is_tried_again(send: Send) -> None:
    async with receiving(ALLOWED) as receiver:
        url = f"{receiver.base}/"
    outcome = await send(url)
    assert outcome == Outcome(
        error="ConnectionFailed: No connection to the receiver could be opened."
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "ConnectionLost"),
        (b"HTTP/1.1 200 OK\r\nX: ", "ConnectionLost"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "ResponseInvalid"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", "ResponseInvalid"),
        (b"HTTP/1.1 999999 OK\r\n\r\n", "ResponseInvalid"),
    ],
)
async def test_odd_answer_is_a_failure(send: Send, answer: bytes, reason: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, ALLOWED, 0)
    async with server:
        outcome = await send(f"http://{ALLOWED}:{server.sockets[0].getsockname()[1]}/")

    assert (outcome.error or "").partition(":")[0] == reason
    assert not outcome.is_final


async def test_body_of_the_answer_is_not_read(send: Send) -> None:
    """A receiver may send an answer without an end."""
    is_closed = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            is_closed.set()
        finally:
            writer.close()

    server = await asyncio.start_server(talk, ALLOWED, 0)
    async with server, asyncio.timeout(60):
        outcome = await send(f"http://{ALLOWED}:{server.sockets[0].getsockname()[1]}/")
        await is_closed.wait()
    assert outcome == Outcome(200)


async def test_proxy_of_the_chart_resolves_names(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxying() as proxy, receiving(ALLOWED) as receiver:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        names = Names([FORBIDDEN])
        outcome = await send(f"http://{ALLOWED}:{receiver.port}/", names)
        local = await send("http://db.ns.svc.cluster.local/", names)
        literal = await send("http://169.254.169.254/", names)

    assert outcome == Outcome(204)
    assert proxy.requests == [f"POST http://{ALLOWED}:{receiver.port}/"]
    assert not names.asked
    assert local.is_final
    assert literal.is_final


def test_system_resolves_absolute_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise, the search domains of a pod make `a.b` the Service `a` in the namespace `b`."""
    asked = []

    def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(0, 0, 0, "", ("1.1.1.1", 0)), (0, 0, 0, "", ("fe80::1%eth0", 0, 0, 2))]

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    assert system_lookup("a.b") == [ip_address("1.1.1.1"), ip_address("fe80::1%eth0")]
    assert asked == ["a.b."]
