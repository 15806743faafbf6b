"""Tests in clusters whose pods have only IPv6 addresses, or both IPv4 and IPv6 addresses."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from conftest import NAMESPACE, wait_for
from pytest_kind import KindCluster
from releases import CHART, RELEASE, TIMEOUT, Helm, helm
from vision_node_contract.json_types import Json

__all__ = ["helm"]  # pytest looks up the fixture in this module

CNI = Path("cluster/node/etc/cni/net.d/10-bridge.conflist")
LOCAL_NODE_IMAGE = "vision-node-kind:"
"""Prefix of the names of node images that `python3 -m cluster` builds locally."""

NODE_PORT = 30080

IPV4_PODS, IPV6_PODS = "10.244.0.0/24", "fd00:10:244::/64"
FAMILIES: dict[str, list[str]] = {"ipv6": [IPV6_PODS], "dual": [IPV4_PODS, IPV6_PODS]}
"""The pods' networks for each IP family. The keys are kind's names for the families."""

WANTED = os.environ.get("IP_FAMILIES", "ipv6").split()
"""IP families to test. Each one takes a minute.

To test both, run IP_FAMILIES="ipv6 dual" make test-e2e.
"""


def program(name: str, *arguments: str, stdin: str = "", **environment: str) -> str:
    """Run a program and return its output."""
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
class SecondCluster:
    """A second kind cluster that uses the node image of the first."""

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
        command = (str(self.first.kubectl_path), "--namespace", NAMESPACE, *arguments)
        return program(*command, stdin=stdin, KUBECONFIG=str(self.kubeconfig))

    def create(self, folder: Path) -> None:
        """Create the cluster and wait until its node is ready."""
        image = docker(
            "inspect", f"{self.first.name}-control-plane", "--format", "{{.Config.Image}}"
        ).strip()
        config = folder / "kind.json"
        config.write_text(json.dumps(self.configuration(image, folder)))

        options = ("--name", self.name, "--image", image, "--config", str(config))
        kubeconfig = ("--kubeconfig", str(self.kubeconfig))
        program(self.kind, "create", "cluster", *options, *kubeconfig, "--wait", "60s")

    def configuration(self, image: str, folder: Path) -> Json:
        """Return kind's configuration.

        If the node image was built locally, also set the node's networks and name servers.
        """
        address = "::1" if self.family == "ipv6" else "127.0.0.1"
        mapping = {"containerPort": NODE_PORT, "hostPort": self.port, "listenAddress": address}
        node: Json = {"role": "control-plane", "extraPortMappings": [mapping]}
        networking: Json = {"ipFamily": self.family}

        if image.startswith(LOCAL_NODE_IMAGE):
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
        """Load container images from Docker into the node."""
        load = ["docker", "exec", "-i", self.node, "ctr", "-n", "k8s.io", "images", "import", "-"]
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as save:
            subprocess.run(load, stdin=save.stdout, check=True, capture_output=True)
        assert save.returncode == 0

    def delete(self) -> None:
        options = ("--name", self.name, "--kubeconfig", str(self.kubeconfig))
        program(self.kind, "delete", "cluster", *options)


def free_port() -> int:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        found: int = taken.getsockname()[1]
    return found


@pytest.fixture(params=WANTED)
def second(
    request: pytest.FixtureRequest, kind_cluster: KindCluster, tmp_path: Path
) -> Iterator[SecondCluster]:
    """Create a cluster of each requested family, and delete it after the test."""
    if docker("network", "inspect", "kind", "--format", "{{.EnableIPv6}}").strip() != "true":
        pytest.skip("the Docker network of kind has no IPv6 addresses on this machine")

    family = request.param
    name = f"{kind_cluster.name}-{family}"
    kind = str(request.config.getoption("kind_bin") or "kind")
    created = SecondCluster(name, family, tmp_path / "kubeconfig", free_port(), kind, kind_cluster)
    created.delete()  # in case an earlier run left the cluster behind

    try:
        created.create(tmp_path)
        yield created
    finally:
        created.delete()


def test_system_works_with_ipv6_and_dual_stack(
    second: SecondCluster, helm: Helm, photo: Path
) -> None:
    images = helm.values_of(RELEASE, NAMESPACE)["images"]
    second.load(list(images.values()))
    policy = "PreferDualStack" if second.family == "dual" else ""
    service = {"type": "NodePort", "nodePort": NODE_PORT, "ipFamilyPolicy": policy}
    values = {"images": images, "api": {"service": service}}
    second_helm, namespace = Helm(second.kubeconfig), ("--namespace", NAMESPACE)
    wait = ("--wait", "--wait-for-jobs", *TIMEOUT)
    second_helm("install", RELEASE, CHART, *namespace, "--create-namespace", *wait, values=values)
    assert "64x48 pixels" in second_helm("test", RELEASE, *namespace, *TIMEOUT)

    pods = json.loads(second.kubectl("get", "pods", "-o", "json"))["items"]
    api_pods = [
        pod for pod in pods if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "api"
    ]
    addresses = [it["ip"] for it in api_pods[0]["status"]["podIPs"]]
    assert [":" in address for address in addresses] == [
        ":" in net for net in FAMILIES[second.family]
    ]
    for address in addresses:
        assert responds_inside(second, address), f"the API does not respond at {address}"

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


def responds_inside(second: SecondCluster, address: str) -> bool:
    """Return whether the API responds at this address to a request from inside the cluster."""
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:8000/healthz"
    code = f"import urllib.request as r; print(r.urlopen('{url}', timeout=10).status)"
    pod = ("exec", f"deploy/{RELEASE}-api", "--", "python", "-c", code)
    return second.kubectl(*pod).strip() == "200"
