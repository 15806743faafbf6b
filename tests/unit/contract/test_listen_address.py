"""Tests of LISTEN_ADDRESS, which keeps a process outside a pod from listening on all addresses."""

import socket

import pytest
from vision_node_contract.listening import ADDRESS_VARIABLE, listen


def test_configured_address_and_port_replace_the_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, "127.0.0.1:0")
    (server,) = listen(8000)
    with server:
        host, port = server.getsockname()
    assert host == "127.0.0.1"
    assert port != 8000


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_configured_address_can_be_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, "[::1]:0")
    try:
        (server,) = listen(8000)
    except OSError:
        pytest.skip("::1 is not available")
    with server:
        assert server.getsockname()[0] == "::1"
