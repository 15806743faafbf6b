"""Callbacks reach the public internet and what an administrator allows, however it is spelled."""

from ipaddress import ip_address, ip_network

import pytest
from vision_node_contract.callbacks.addresses import Network, embedded, is_reachable, kind_of
from vision_node_contract.callbacks.urls import CallbackRules, CallbackURL, CallbackURLError

INTERNET = CallbackRules()

FORBIDDEN = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200"),  # noqa: S104
    *("100.127.255.255", "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254"),
    *("169.254.170.2", "169.254.170.23", "172.16.0.1", "172.31.255.255", "192.0.0.192"),
    *("192.0.0.8", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1"),
    *("192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::2", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1", "100::1", "100:0:0:1::1"),
    *("2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1"),
    *("2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "2620:4f:8000::1", "3fff::1", "4000::1"),
    *("5f00::1", "8000::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%eth0"),
    *("febf::1", "fec0::1", "ff02::1", "ff0e::1", "2606:4700::1111%1"),
]

PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.1", "168.63.129.15", "169.253.255.255", "169.255.0.0"),
    *("172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.255.255", "192.169.0.0"),
    *("198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1"),
    *("2001:200::1", "2001:4860:4860::8888", "2003::1", "3ffe::1"),
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_what_is_not_on_the_internet_is_refused(address: str) -> None:
    assert kind_of(ip_address(address))
    assert not is_reachable(ip_address(address), ())

    with pytest.raises(CallbackURLError):
        CallbackURL.parse(f"https://{bracketed(address)}/", INTERNET)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_internet_is_reached(address: str) -> None:
    assert kind_of(ip_address(address)) is None
    url = CallbackURL.parse(f"https://{bracketed(address)}/hook?a=b", INTERNET)
    assert (url.address, url.port, url.target) == (ip_address(address), 443, "/hook?a=b")


SPELLINGS = [
    # 127.0.0.1, as some programs read it
    *("2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "0177.0.0.1", "017700000001", "127.1"),
    *("127.0.1", "127.0.0.1.", "127.000.000.001", "0127.0.0.1", "127.0.0.0x1", "00.0.0.0", "0"),
    *(
        "127.0.0.1%00",
        "%31%32%37.0.0.1",
        "127。0。0。1",
        "127．0．0．1",
        "①②⑦.0.0.1",
        "[127.0.0.1]",
    ),
    *("[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "[::1%25lo]", "[::1%lo]", "[::1", "::1"),
    *("[fe80::1%25eth0]", "[v1.fe]", "[]", "256.1.1.1", "1.2.3.4.5", "example.com.0x7f", "1.2.3"),
    # names of the cluster, the node and private networks
    *("localhost", "LOCALHOST", "localhost.", "foo.localhost", "localhost.localdomain"),
    *("kubernetes", "kubernetes.default.svc", "db.ns.svc.cluster.local", "printer.local"),
    *("10-0-0-1.default.pod.cluster.local", "metadata.google.internal", "router.lan"),
    *("1.0.0.127.in-addr.arpa", "hooks.intranet", "nas.home.arpa"),
    # odd names, users and ports
    *("example.com.", "example..com", ".example.com", "-a.example.com", "a_b.example.com"),
    *("user@example.com", "user:password@example.com", "example.com@127.0.0.1", "@example.com"),
    *("example.com:0", "example.com:22", "example.com:25", "example.com:65536", "example.com:"),
    *("example.com:443:443", "example.com:+443", "example.com:４４３", "bücher.example", "a" * 64),
    *("example.com\\@127.0.0.1", "example.com#@127.0.0.1", "exa mple.com", "example.com\t", ""),
    *("example%2ecom", "example.com\r\nHost: localhost", f"{'a.' * 130}com", "ex\u00adample.com"),
]


@pytest.mark.parametrize("host", SPELLINGS)
def test_odd_spelling_of_a_host_is_refused(host: str) -> None:
    with pytest.raises(CallbackURLError) as error:
        CallbackURL.parse(f"https://{host}/hook", INTERNET)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        *("http://example.com/", "HTTPS://example.com/", "ftp://example.com/", "//example.com/"),
        *("https:/example.com/", "https:example.com", "https:///hook", "javascript:alert(1)"),
        *("https://example.com/#fragment", "https://example.com/ü", "https://example.com/a b"),
        *("https://example.com/\nX: y", "file:///etc/passwd", "", "gopher://example.com:70/"),
        "https://example.com/" + "a" * 2048,
    ],
)
def test_unusable_url_is_refused(text: str) -> None:
    with pytest.raises(CallbackURLError):
        CallbackURL.parse(text, INTERNET)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://Example.COM", "https://example.com/"),
        ("https://example.com?job=1", "https://example.com/?job=1"),
        ("https://example.com:443/a%20b", "https://example.com/a%20b"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("https://xn--bcher-kva.example/x;y=1", "https://xn--bcher-kva.example/x;y=1"),
        ("https://[2606:4700::1111]:8443/", "https://[2606:4700::1111]:8443/"),
        ("https://a1.b-c.example/../x", "https://a1.b-c.example/../x"),
    ],
)
def test_usual_urls_are_accepted(text: str, expected: str) -> None:
    assert str(CallbackURL.parse(text, INTERNET)) == expected


@pytest.mark.parametrize(
    ("network", "address", "is_allowed"),
    [
        ("10.20.0.0/16", "10.20.1.2", True),
        ("10.20.0.0/16", "10.21.1.2", False),
        ("10.20.0.0/16", "::ffff:10.20.1.2", False),
        ("127.0.0.1/32", "127.0.0.1", True),
        ("fd00::/8", "fd12::1", True),
        ("fe80::/10", "fe80::1", True),
        ("fe80::/10", "fe80::1%eth0", False),
        # A network for NAT64 does not open private networks behind it.
        ("64:ff9b::/96", "64:ff9b::808:808", True),
        ("64:ff9b::/96", "64:ff9b::a00:1", False),
        ("64:ff9b::/96,10.0.0.0/8", "64:ff9b::a00:1", True),
        ("2002::/16", "2002:7f00:1::1", False),
        ("::ffff:0:0/96", "::ffff:169.254.169.254", False),
        ("2001::/32", "2001:0:4136:e378:8000:63bf:80ff:fffe", False),
    ],
)
def test_allowed_networks_are_reached(network: str, address: str, is_allowed: object) -> None:
    allowed = [ip_network(it) for it in network.split(",")]
    assert is_reachable(ip_address(address), allowed) is is_allowed


def test_address_in_an_address_is_found() -> None:
    assert embedded(ip_address("2001:0:4136:e378:8000:63bf:80ff:fffe")) == ip_address("127.0.0.1")
    assert embedded(ip_address("2002:a00:1::5")) == ip_address("10.0.0.1")
    assert embedded(ip_address("::1")) is None


def test_local_name_needs_an_allowed_network() -> None:
    network: Network = ip_network("10.20.0.0/16")
    rules = CallbackRules((network,), allow_http=True)
    url = CallbackURL.parse("http://receiver.ns.svc.cluster.local:8080/hook", rules)

    assert url.is_local
    assert url.allows(ip_address("10.20.0.1"), rules)
    assert not url.allows(ip_address("1.1.1.1"), rules), "a public address of a local name"


def test_rules_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEBHOOKS", raising=False)
    assert CallbackRules.from_env() is None

    monkeypatch.setenv("WEBHOOKS", "true")
    assert CallbackRules.from_env() == CallbackRules()

    monkeypatch.setenv("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8,fd00::/8")
    monkeypatch.setenv("WEBHOOK_ALLOW_HTTP", "true")
    networks = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert CallbackRules.from_env() == CallbackRules(networks, allow_http=True)


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
