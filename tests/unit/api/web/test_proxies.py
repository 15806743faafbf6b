"""Tests of the parsers for trusted proxies, forwarding headers and root paths."""

import pytest
from starlette.datastructures import Headers
from vision_node_api.web.forwarded import read_forwarded, read_prefix
from vision_node_api.web.root_path import parse_root_path, route_path, with_root_path
from vision_node_api.web.trusted_proxies import TrustedProxies, parse_address


@pytest.mark.parametrize("network", ["10.0.0.0/33", "proxy.example.com", "10.0.0.0/8;", ""])
def test_invalid_network_is_refused_at_startup(network: str) -> None:
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
def test_address_is_parsed_without_its_port(text: str, address: str | None) -> None:
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
def test_forwarded_header_is_read_up_to_the_first_syntax_error(line: str, hosts: list[str]) -> None:
    assert read_forwarded(Headers({"Forwarded": line})).hosts == hosts


def test_absent_prefix_differs_from_an_empty_one() -> None:
    assert read_prefix(Headers({})) is None
    assert read_prefix(Headers({"X-Forwarded-Prefix": ""})) == ""


@pytest.mark.parametrize(
    "text", ["vision", "/a//b", "/a/./b", "/..", "/a b", "/ä", "/a\n", "/ui", "/status/x", "//"]
)
def test_invalid_root_path_is_refused_at_startup(text: str) -> None:
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
def test_path_starts_with_the_root_path_even_if_a_proxy_removed_it(
    path: str, root_path: str, full: str
) -> None:
    scope = with_root_path({"path": path, "raw_path": path.encode()}, root_path)
    assert (scope["path"], scope["raw_path"]) == (full, full.encode())
    assert route_path(scope) == full.removeprefix(root_path)
