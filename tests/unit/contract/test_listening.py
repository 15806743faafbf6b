"""Tests of server sockets for IPv4, IPv6 or both, depending on the addresses of the pod."""

import errno
import socket
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from vision_node_contract import listening
from vision_node_operator.runtime import probe_server

IPV4, IPV6 = "127.0.0.1", "::1"


@pytest.fixture
def port() -> int:
    """A port that is free for both IPv4 and IPv6."""
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        found: int = taken.getsockname()[1]
    return found


@pytest.fixture
def sockets(port: int) -> Iterator[list[socket.socket]]:
    made = listening.listen(port)
    yield made
    for each in made:
        each.close()


@pytest.mark.parametrize("address", [IPV4, IPV6])
def test_sockets_accept_ipv4_and_ipv6(
    sockets: list[socket.socket], port: int, address: str
) -> None:
    with socket.create_connection((address, port), timeout=5) as client:
        accepted = next(each for each in sockets if each.family == client.family).accept()[0]
        with accepted:
            assert accepted.getpeername()[0] == address, (
                "it must not be ::ffff:127.0.0.1, which no list of trusted proxies would match"
            )


@pytest.mark.parametrize("missing", [socket.AF_INET, socket.AF_INET6])
def test_missing_address_family_is_skipped(
    monkeypatch: pytest.MonkeyPatch, port: int, missing: int
) -> None:
    real = socket.create_server

    def create(address: tuple[str, int], *, family: int) -> socket.socket:
        if family == missing:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(address, family=family)

    monkeypatch.setattr(socket, "create_server", create)
    (only,) = listening.listen(port)
    with only:
        assert only.family != missing


def test_port_in_use_raises_an_error(sockets: list[socket.socket], port: int) -> None:
    assert sockets
    with pytest.raises(OSError, match="in use"):
        listening.listen(port)


async def healthz(address: str, port: int) -> tuple[int, Any]:
    url = f"http://{address}:{port}/healthz"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("address", [IPV4, f"[{IPV6}]"])
async def test_operator_answers_probes_over_ipv4_and_ipv6(port: int, address: str) -> None:
    async with probe_server.serving(listening.listen(port), lambda: 1.5):
        assert await healthz(address, port) == (200, {"secondsSinceProgress": 1.5})


async def test_stuck_operator_fails_its_probe(port: int) -> None:
    def check() -> float:
        raise RuntimeError("no decision for 61 s")

    async with probe_server.serving(listening.listen(port), check):
        assert await healthz(IPV4, port) == (500, {"error": "no decision for 61 s"})


async def test_probe_server_closes_its_sockets(port: int) -> None:
    async with probe_server.serving(listening.listen(port), lambda: 0.0):
        pass
    for each in listening.listen(port):
        each.close()
