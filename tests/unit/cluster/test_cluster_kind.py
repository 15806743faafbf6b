"""Tests of the kind cluster: its node, configuration, images and port."""

import json
import socket
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.kind import (
    LISTEN_ADDRESS,
    Action,
    Node,
    NodeImage,
    check_port,
    configuration,
    decide,
    full_name,
    is_free,
    name_servers,
    outdated,
    require_free,
)

OURS, OLDER, PUBLIC = "vision-node-kind:v1-new", "vision-node-kind:v1-old", "kindest/node:v1"


@pytest.mark.parametrize(
    ("node", "image", "expected"),
    [
        (None, OURS, Action.CREATE),
        (Node(running=True, image=OURS, port=8000), OURS, Action.KEEP),
        (Node(running=False, image=OURS, port=8000), OURS, Action.START),
        (Node(running=True, image=OLDER, port=8000), OURS, Action.RECREATE),
        # The node image may change when a network outage starts or ends, but data must not be lost.
        (Node(running=True, image=PUBLIC, port=8000), OURS, Action.KEEP),
        (Node(running=True, image=OURS, port=8000), PUBLIC, Action.KEEP),
    ],
)
def test_cluster_is_recreated_only_if_necessary(
    node: Node | None, image: str, expected: Action
) -> None:
    action, why = decide(node, image)
    assert action is expected
    assert bool(why) == (expected is Action.RECREATE)


def test_port_change_is_refused() -> None:
    node = Node(running=True, image=OURS, port=8000)
    check_port(node, "vn", 8000)
    with pytest.raises(ClusterError, match=r"has port 8000.*PORT=8000 make up"):
        check_port(node, "vn", 8001)


@pytest.mark.parametrize(
    ("inspected", "expected"),
    [
        (
            "true vision-node-kind:v1 8000\n",
            Node(running=True, image="vision-node-kind:v1", port=8000),
        ),
        ("false kindest/node:v1 \n", Node(running=False, image="kindest/node:v1", port=0)),
    ],
)
def test_node_is_parsed_from_docker_inspect(inspected: str, expected: Node) -> None:
    assert Node.parse(inspected) == expected


def test_api_port_is_mapped_to_loopback_only() -> None:
    mapping = json.loads(configuration(8001, None))["nodes"][0]["extraPortMappings"]
    assert mapping == [{"containerPort": 30080, "hostPort": 8001, "listenAddress": "127.0.0.1"}]


def test_node_from_packages_gets_name_servers_and_nftables() -> None:
    made = json.loads(configuration(8000, Path("/cache/resolv.conf")))
    assert made["networking"] == {"kubeProxyMode": "nftables"}
    assert made["nodes"][0]["extraMounts"][0]["hostPath"] == "/cache/resolv.conf"


def test_kind_node_keeps_default_configuration() -> None:
    content = json.loads(configuration(8000, None))
    assert "networking" not in content
    assert "extraMounts" not in content["nodes"][0]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["nameserver 10.0.0.2\nsearch home\n"], "nameserver 10.0.0.2\n"),
        (
            ["nameserver 10.0.0.2\nnameserver 10.0.0.3\n"],
            "nameserver 10.0.0.2\nnameserver 10.0.0.3\n",
        ),
        (["nameserver 127.0.0.53\n", "nameserver 10.0.0.2\n"], "nameserver 10.0.0.2\n"),
        (["# nameserver 10.0.0.2\nnameserver\n"], "nameserver 192.0.2.53\n"),
        ([], "nameserver 192.0.2.53\n"),
    ],
)
def test_only_name_servers_that_pods_can_reach_are_used(files: list[str], expected: str) -> None:
    assert name_servers(files) == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("vision-node-api:1", "docker.io/library/vision-node-api:1"),
        ("quay.io/minio/minio:1", "quay.io/minio/minio:1"),
    ],
)
def test_image_name_in_containerd_includes_the_registry(image: str, expected: str) -> None:
    assert full_name(image) == expected


def test_outdated_image_is_deleted_with_all_its_names() -> None:
    names = [
        NodeImage("docker.io/library/vision-node-api:old", "sha256:1"),
        NodeImage("sha256:abc", "sha256:1"),
        NodeImage("docker.io/library/vision-node-api:new", "sha256:2"),
        NodeImage("sha256:def", "sha256:2"),
        NodeImage("registry.k8s.io/pause:3.10", "sha256:3"),
    ]
    gone = outdated(names, {"docker.io/library/vision-node-api:new"})
    assert gone == ["docker.io/library/vision-node-api:old", "sha256:abc"]


def test_image_with_unchanged_digest_is_kept() -> None:
    names = [
        NodeImage("docker.io/library/vision-node-api:old", "sha256:1"),
        NodeImage("docker.io/library/vision-node-api:new", "sha256:1"),
    ]
    assert outdated(names, {"docker.io/library/vision-node-api:new"}) == []


def test_node_image_is_parsed_from_ctr_output() -> None:
    line = (
        "docker.io/library/a:1 application/vnd.oci.image.index.v1+json sha256:1 3.4 MiB "
        "linux/amd64 -"
    )
    assert NodeImage.parse(line) == NodeImage("docker.io/library/a:1", "sha256:1")


def test_used_port_error_suggests_another_port() -> None:
    with socket.socket() as taken:
        taken.bind((LISTEN_ADDRESS, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(ClusterError, match=f"PORT={port + 1} make up"):
            require_free(port, f"PORT={port + 1} make up")


def test_port_that_answers_is_not_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # `bind` succeeds on macOS even if another program listens on all addresses.
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(socket.socket, "bind", lambda *_: None)
        assert not is_free(other.getsockname()[1])
