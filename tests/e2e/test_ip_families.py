"""The system in further clusters: one whose pods have only IPv6 addresses, and one whose pods have both."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import NAMESPACE, wait_for
from pytest_kind import KindCluster
from releases import CHART, RELEASE, TIMEOUT, Helm, helm

__all__ = ["helm"]  # the fixture

Json = dict[str, Any]

CNI = Path("cluster/node/etc/cni/net.d/10-bridge.conflist")
HOME_MADE = "vision-node-kind:"
NODE_PORT = 30080

IPV4_PODS, IPV6_PODS = "10.244.0.0/24", "fd00:10:244::/64"
FAMILIES: dict[str, list[str]] = {"ipv6": [IPV6_PODS], "dual": [IPV4_PODS, IPV6_PODS]}
"""IP family of a cluster's pods in kind's terms → the networks of the node's pods."""

WANTED = os.environ.get("IP_FAMILIES", "ipv6").split()
"""Families to test; each takes a minute. For both: IP_FAMILIES="ipv6 dual" make test-e2e"""


def program(name: str, *arguments: str, stdin: str = "", **environment: str) -> str:
    """Run a program; return what it prints."""
    done = subprocess.run(
        [shutil.which(name) or name, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == 0, f"{name} {' '.join(arguments)}: {done.stderr}{done.stdout}"

    return done.stdout


def docker(*arguments: str) -> str:
    return program("docker", *arguments)


@dataclass(frozen=True)
class Second:
    """A second kind cluster, with nodes of the first one's image."""

    name: str
    family: str
    kubeconfig: Path
    port: int
    kind: str
    first: KindCluster

    @property
    def node(self) -> str:
        return f"{self.name}-control-plane"

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        aim = {"KUBECONFIG": str(self.kubeconfig)}
        return program(
            str(self.first.kubectl_path), "--namespace", NAMESPACE, *arguments, stdin=stdin, **aim
        )

    def create(self, folder: Path) -> None:
        """Create it; kind waits until the node is ready."""
        image = docker(
            "inspect", f"{self.first.name}-control-plane", "--format", "{{.Config.Image}}"
        ).strip()
        config = folder / "kind.json"
        config.write_text(json.dumps(self.configuration(image, folder)))
        create = (
            "create",
            "cluster",
            "--name",
            self.name,
            "--image",
            image,
            "--config",
            str(config),
        )
        program(self.kind, *create, "--kubeconfig", str(self.kubeconfig), "--wait", "60s")

    def configuration(self, image: str, folder: Path) -> Json:
        """Return kind's configuration; a home-made node image needs its networks and name servers in it."""
        address = "::1" if self.family == "ipv6" else "127.0.0.1"
        mapping = {"containerPort": NODE_PORT, "hostPort": self.port, "listenAddress": address}
        node: Json = {"role": "control-plane", "extraPortMappings": [mapping]}
        networking: Json = {"ipFamily": self.family}

        if image.startswith(HOME_MADE):
            networking["kubeProxyMode"] = "nftables"
            node["extraMounts"] = [self._network(folder), self._name_servers()]

        head = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4"}
        return {**head, "networking": networking, "nodes": [node]}

    def _network(self, folder: Path) -> Json:
        network = json.loads(CNI.read_text())
        addresses = network["plugins"][0]["ipam"]
        addresses["ranges"] = [[{"subnet": subnet}] for subnet in FAMILIES[self.family]]
        addresses["routes"] = [
            {"dst": "::/0" if ":" in subnet else "0.0.0.0/0"} for subnet in FAMILIES[self.family]
        ]
        file = folder / CNI.name
        file.write_text(json.dumps(network))

        return {
            "hostPath": str(file),
            "containerPath": f"/etc/cni/net.d/{CNI.name}",
            "readOnly": True,
        }

    def _name_servers(self) -> Json:
        path = "/etc/kubelet-resolv.conf"
        mounts = json.loads(
            docker("inspect", f"{self.first.name}-control-plane", "--format", "{{json .Mounts}}")
        )
        (source,) = [mount["Source"] for mount in mounts if mount["Destination"] == path]
        return {"hostPath": source, "containerPath": path, "readOnly": True}

    def load(self, images: list[str]) -> None:
        """Give the node the images that the first cluster runs."""
        load = ["docker", "exec", "-i", self.node, "ctr", "-n", "k8s.io", "images", "import", "-"]
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as save:
            subprocess.run(load, stdin=save.stdout, check=True, capture_output=True)
        assert save.returncode == 0

    def delete(self) -> None:
        program(
            self.kind,
            "delete",
            "cluster",
            "--name",
            self.name,
            "--kubeconfig",
            str(self.kubeconfig),
        )


def free_port() -> int:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        found: int = taken.getsockname()[1]
    return found


@pytest.fixture(params=WANTED)
def second(
    request: pytest.FixtureRequest, kind_cluster: KindCluster, tmp_path: Path
) -> Iterator[Second]:
    """A cluster of that family, deleted at the end."""
    if docker("network", "inspect", "kind", "--format", "{{.EnableIPv6}}").strip() != "true":
        pytest.skip("this machine's Docker gives kind's network no IPv6 addresses")

    family = request.param
    name = f"{kind_cluster.name}-{family}"
    kind = str(request.config.getoption("kind_bin") or "kind")
    made = Second(name, family, tmp_path / "kubeconfig", free_port(), kind, kind_cluster)
    made.delete()  # what an earlier run has left

    try:
        made.create(tmp_path)
        yield made
    finally:
        made.delete()


def test_the_system_works_with_ipv6_alone_and_with_both(
    second: Second, helm: Helm, photo: Path
) -> None:
    images = helm.values_of(RELEASE, NAMESPACE)["images"]
    second.load(list(images.values()))
    policy = "PreferDualStack" if second.family == "dual" else ""
    service = {"type": "NodePort", "nodePort": NODE_PORT, "ipFamilyPolicy": policy}
    values = {"images": images, "api": {"service": service}}
    there, place = Helm(second.kubeconfig), ("--namespace", NAMESPACE)
    wait = ("--wait", "--wait-for-jobs", *TIMEOUT)
    there("install", RELEASE, CHART, *place, "--create-namespace", *wait, values=values)
    assert "64x48 pixels" in there("test", RELEASE, *place, *TIMEOUT)

    pods = json.loads(second.kubectl("get", "pods", "-o", "json"))["items"]
    of_api = [
        pod for pod in pods if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "api"
    ]
    addresses = [it["ip"] for it in of_api[0]["status"]["podIPs"]]
    assert [":" in address for address in addresses] == [
        ":" in net for net in FAMILIES[second.family]
    ]
    for address in addresses:
        assert answers_within(second, address), f"the API does not answer at {address}"

    host = "[::1]" if second.family == "ipv6" else "127.0.0.1"
    with httpx.Client(
        base_url=f"http://{host}:{second.port}", timeout=30, trust_env=False
    ) as client:
        submitted = client.post("/submit", files={"file": ("photo", photo.read_bytes())})
        assert submitted.status_code == 202, submitted.text
        status = f"/status/{submitted.json()['job_id']}"
        ended = wait_for(
            lambda: client.get(status).json(), lambda it: it["status"] in {"done", "failed"}
        )

    assert ended["status"] == "done"


def answers_within(second: Second, address: str) -> bool:
    """Return whether the API answers at that address, asked from a pod of the cluster."""
    host = f"[{address}]" if ":" in address else address
    code = f"import urllib.request as r; print(r.urlopen('http://{host}:8000/healthz', timeout=10).status)"
    pod = ("exec", f"deploy/{RELEASE}-api", "--", "python", "-c", code)
    return second.kubectl(*pod).strip() == "200"
