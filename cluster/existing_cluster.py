"""Use a cluster of the user's choice instead of a kind cluster that this package creates."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from cluster.artifacts.images import Images
from cluster.client import Client
from cluster.engine import Engine
from cluster.errors import ClusterError
from cluster.kind import LISTEN_ADDRESS, is_free
from cluster.release import NAMESPACE
from cluster.run import shell

API_SERVICE = "service/vision-node-api"
API_PORT = 8000

FORWARD_SECONDS = 15.0


class Choice(Enum):
    """A value of the environment variable CLUSTER."""

    KIND = "kind"
    MINIKUBE = "minikube"
    CURRENT = "current"

    @classmethod
    def from_environment(cls) -> "Choice":
        """Return the value of CLUSTER; kind if it is not set."""
        text = os.environ.get("CLUSTER") or cls.KIND.value
        try:
            return cls(text)
        except ValueError:
            names = ", ".join(choice.value for choice in cls)
            raise ClusterError(f"CLUSTER={text} is unknown. Choose one of: {names}") from None


class Delivery(Enum):
    """How images get into an existing cluster."""

    PUSH = "push"
    KIND = "kind"
    MINIKUBE = "minikube"


def decide_delivery(context: str, registry: str, minikube_profiles: frozenset[str]) -> Delivery:
    """Return how the cluster of a context gets images; `registry` is $IMAGE_REGISTRY or ""."""
    if registry:
        return Delivery.PUSH
    if context.startswith("kind-"):
        return Delivery.KIND
    if context in minikube_profiles:
        return Delivery.MINIKUBE

    raise ClusterError(
        f"The cluster of the context {context!r} must pull the images from a registry. Set "
        "IMAGE_REGISTRY to one that you can push to and the cluster can pull from, for example: "
        "IMAGE_REGISTRY=ghcr.io/me CLUSTER=current make up"
    )


@dataclass(frozen=True)
class Current:
    """The cluster of the current context of the user's kubectl."""

    context: str
    registry: str
    """The registry to push images to; empty if they are loaded into the cluster."""
    delivery: Delivery

    @classmethod
    def of(cls, client: Client) -> "Current":
        """Find the current context. Raises ClusterError if its cluster can't get the images."""
        context = client.kubectl_output("config", "current-context").strip()
        registry = os.environ.get("IMAGE_REGISTRY", "").rstrip("/")
        return cls(context, registry, decide_delivery(context, registry, minikube_profiles()))

    def deliver(self, engine: Engine, kind: Path, images: Images) -> Images:
        """Make the images available to the cluster, and return their names there."""
        match self.delivery:
            case Delivery.PUSH:
                return images.renamed(lambda name: _pushed(engine, self.registry, name))
            case Delivery.KIND:
                name = self.context.removeprefix("kind-")
                load = (kind, "load", "docker-image", "--name", name)
                shell.run([*load, *images.all], env=engine.env)
            case Delivery.MINIKUBE:
                minikube_load(self.context, engine, images)

        return images


def _pushed(engine: Engine, registry: str, name: str) -> str:
    # A name that contains a registry belongs to a public image, which need not be copied.
    if "/" in name:
        return name
    engine.run("tag", name, f"{registry}/{name}")
    engine.run("push", f"{registry}/{name}")
    return f"{registry}/{name}"


def minikube_profiles() -> frozenset[str]:
    """Return the names of minikube's clusters, which are also the names of their contexts."""
    if not shutil.which("minikube"):
        return frozenset()

    folder = Path(os.environ.get("MINIKUBE_HOME", Path.home() / ".minikube")) / "profiles"
    return frozenset(profile.name for profile in folder.glob("*"))


def minikube_start(name: str) -> None:
    """Start the minikube cluster `name` if necessary, and make it kubectl's current context."""
    if not shutil.which("minikube"):
        raise ClusterError("minikube is missing: https://minikube.sigs.k8s.io/docs/start/")

    if not shell.succeeds(["minikube", "-p", name, "status"]):
        shell.run(["minikube", "start", "-p", name])

    shell.run(["minikube", "-p", name, "update-context"])


def minikube_load(name: str, engine: Engine, images: Images) -> None:
    """Copy the images from the engine into minikube's cluster."""
    for image in images.all:
        shell.run(["minikube", "-p", name, "image", "load", image], env=engine.env)


@contextlib.contextmanager
def forwarded(client: Client, target: str, local_port: int, port: int) -> Iterator[str]:
    """Forward a local port to a port of `target` while the block runs.

    Yields the local address in the form host:port. Raises ClusterError if kubectl does not listen
    on the local port in time.
    """
    command = [client.kubectl, "-n", NAMESPACE, "port-forward", target, f"{local_port}:{port}"]
    process = subprocess.Popen(
        list(map(str, command)),
        env=client.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )

    try:
        deadline = time.monotonic() + FORWARD_SECONDS
        while is_free(local_port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ClusterError(
                    f"`{' '.join(map(str, command))}` did not start listening in time"
                )
            time.sleep(0.1)

        yield f"{LISTEN_ADDRESS}:{local_port}"
    finally:
        process.terminate()
        process.wait()
