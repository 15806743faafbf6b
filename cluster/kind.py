"""The kind cluster: created, found again, given images, deleted."""

import contextlib
import json
import socket
import time
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from cluster.artifacts import node_image
from cluster.context import Workshop
from cluster.engine import Engine
from cluster.errors import ClusterError
from cluster.run import shell

# The API's Service has this port on the node; kind maps a port of this machine to it.
NODE_PORT = 30080
LISTEN_ADDRESS = "127.0.0.1"

CREATE_WAIT_SECONDS = 60
# A node that was stopped needs its control plane's pods back.
READY_SECONDS = 60.0
QUESTION_SECONDS = 5.0
# A port on this machine answers at once.
VISIT_SECONDS = 1.0
READY_QUESTION = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "--raw=/readyz")

# kubelet.service of the home-made node image reads this.
NODE_RESOLV_CONF = "/etc/kubelet-resolv.conf"
# Where a machine keeps its real name servers when its /etc/resolv.conf names a local cache.
RESOLV_CONFS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
# An address for documentation, where nobody answers: CoreDNS does not start without a name server.
NO_NAME_SERVER = "192.0.2.53"

CTR_IMAGES = ("ctr", "--namespace", "k8s.io", "images")

INSPECT = (
    "{{.State.Running}} {{.Config.Image}} "
    f'{{{{range index .HostConfig.PortBindings "{NODE_PORT}/tcp"}}}}{{{{.HostPort}}}}{{{{end}}}}'
)


@dataclass(frozen=True)
class Node:
    """The container that is the cluster's one node."""

    running: bool
    image: str
    port: int
    """This machine's port that leads to the API; 0 for none."""

    @classmethod
    def parse(cls, inspected: str) -> "Node":
        """Read what `docker inspect` prints for the template INSPECT."""
        running, image, *ports = inspected.split()
        return cls(running == "true", image, int(ports[0]) if ports else 0)


def node_name(cluster: str) -> str:
    """What kind calls the one node of that cluster, and its container."""
    return f"{cluster}-control-plane"


def find_node(engine: Engine, cluster: str) -> Node | None:
    """The cluster's node as it is; None if there is none."""
    inspect = ("container", "inspect", "--format", INSPECT, node_name(cluster))
    return Node.parse(engine.output(*inspect)) if engine.works(*inspect) else None


class Action(Enum):
    """What it takes to have the cluster that is wanted."""

    CREATE = "created"
    RECREATE = "created anew"
    START = "started again"
    KEEP = "kept"


def decide(node: Node | None, image: str) -> tuple[Action, str]:
    """What to do with the node that is there, and why, for the user to read."""
    if node is None:
        return Action.CREATE, ""
    # A home-made image and kind's own are both good: changing over is not worth losing the data.
    home_made = all(name.startswith(node_image.REPOSITORY) for name in (node.image, image))
    if home_made and node.image != image:
        return Action.RECREATE, "its node image is an older one"
    return (Action.KEEP if node.running else Action.START), ""


@dataclass(frozen=True)
class NodeImage:
    """One name of an image in the node's containerd, and what it names."""

    name: str
    digest: str

    @classmethod
    def parse(cls, line: str) -> "NodeImage":
        """Read a line of `ctr images ls`: name, media type, digest and more."""
        name, _, digest, *_ = line.split()
        return cls(name, digest)


def outdated(images: Sequence[NodeImage], wanted: Set[str]) -> list[str]:
    """All names of the project's images that are not wanted.

    Kubernetes gives each image a second name; containerd frees it when both are gone.
    """
    prefix = full_name("vision-node-")
    used = {image.digest for image in images if image.name in wanted}
    ours = {image.digest for image in images if image.name.startswith(prefix)}
    return [image.name for image in images if image.digest in ours - used]


@dataclass(frozen=True)
class Kind:
    """One kind cluster and how to reach it."""

    shop: Workshop
    engine: Engine
    program: Path
    name: str

    @property
    def node_name(self) -> str:
        """The name of the node and of its container."""
        return node_name(self.name)

    @property
    def context(self) -> str:
        """The name that kind gives it in kubeconfigs."""
        return f"kind-{self.name}"

    @property
    def kubeconfig(self) -> Path:
        """The cluster's own kubeconfig, whatever the user's own points to."""
        return self.shop.cache.folder("clusters", self.name) / "kubeconfig"

    def ensure(self, image: str, port: int) -> None:
        """Have the cluster run, with its API at that port of this machine."""
        action, why = decide(find_node(self.engine, self.name), image)
        if action in (Action.KEEP, Action.START) and not self._runs_again():
            action, why = Action.RECREATE, "its API server does not answer"

        if action is Action.RECREATE:
            self.shop.progress.say(f"  cluster {self.name} has to be created anew: {why}")
            self.delete()

        if action in (Action.CREATE, Action.RECREATE):
            with self.shop.progress.step(f"cluster {self.name}", outcome=action.value):
                self._create(image, port)
        else:
            self.shop.progress.note(f"cluster {self.name}", action.value)

    def _runs_again(self) -> bool:
        """Start the node if it is stopped; whether its API server answers in the end."""
        self.engine.run("start", self.node_name)
        self.export(self.kubeconfig)
        deadline = time.monotonic() + READY_SECONDS

        while time.monotonic() < deadline:
            question = ("exec", self.node_name, *READY_QUESTION)
            if self.engine.works(*question, timeout_seconds=QUESTION_SECONDS):
                return True
            time.sleep(0.5)

        return False

    def _create(self, image: str, port: int) -> None:
        # A node that kind could not finish would be in the way the next time.
        self._kind("delete", "cluster", "--name", self.name, "--kubeconfig", self.kubeconfig)
        resolv_conf = self.kubeconfig.with_name("resolv.conf")
        texts = [place.read_text() for place in RESOLV_CONFS if place.exists()]
        resolv_conf.write_text(name_servers(texts))
        config = self.kubeconfig.with_name("kind.json")
        home_made = image.startswith(node_image.REPOSITORY)
        config.write_text(configuration(port, resolv_conf if home_made else None))
        wait = ("--wait", f"{CREATE_WAIT_SECONDS}s")
        self._kind("create", "cluster", *self._named, "--image", image, "--config", config, *wait)

    def export(self, kubeconfig: Path | None) -> None:
        """Write the cluster into that kubeconfig; None for the user's own."""
        where = ("--kubeconfig", kubeconfig) if kubeconfig else ()
        self._kind("export", "kubeconfig", "--name", self.name, *where)

    def into_users_kubeconfig(self, kubectl: Path) -> str:
        """Add the cluster to the user's own kubeconfig, as kind does, but keep a context that isn't kind's.

        Whoever works on a real cluster must not find kubectl aimed elsewhere afterwards. The
        context that was kept; empty if kubectl points at this cluster now.
        """
        before = ""
        with contextlib.suppress(ClusterError):
            before = shell.output([kubectl, "config", "current-context"]).strip()

        self.export(None)
        if not before or before.startswith("kind-"):
            return ""

        shell.run([kubectl, "config", "use-context", before])
        return before

    def delete(self) -> None:
        """Delete the cluster from the engine and from both kubeconfigs."""
        self._kind("delete", "cluster", "--name", self.name)
        self._kind("delete", "cluster", *self._named)

    def load(self, images: Iterable[str]) -> None:
        """Give the node those images that it lacks.

        All in one stream: they share layers, and unlike `kind load` nothing waits on a file
        between.
        """
        there = {image.name for image in self._images()}
        missing = sorted(name for name in images if full_name(name) not in there)
        if not missing:
            self.shop.progress.note("images on the node", "all there")
            return

        with self.shop.progress.step("images on the node", outcome=f"{len(missing)} loaded"):
            client = self.engine.client
            sink = [client, "exec", "--interactive", self.node_name, *CTR_IMAGES, "import", "-"]
            shell.pipe([client, "save", *missing], sink, env=self.engine.env)

    def prune(self, keep: Iterable[str]) -> None:
        """Drop the project's images from the node that are not those."""
        old = outdated(self._images(), {full_name(name) for name in keep})
        if old:
            self._on_node(*CTR_IMAGES, "rm", *old)

    def _images(self) -> list[NodeImage]:
        lines = self._on_node(*CTR_IMAGES, "ls").splitlines()[1:]
        return [NodeImage.parse(line) for line in lines]

    def _on_node(self, *command: str) -> str:
        return self.engine.output("exec", self.node_name, *command)

    @property
    def _named(self) -> Sequence[shell.Argument]:
        return ("--name", self.name, "--kubeconfig", self.kubeconfig)

    def _kind(self, *arguments: shell.Argument) -> None:
        shell.run([self.program, *arguments], env=self.engine.env)


_LAZY_GARBAGE = [{"name": "GOGC", "value": "300"}]

CONTROL_PLANE = {
    "kind": "ClusterConfiguration",
    "apiVersion": "kubeadm.k8s.io/v1beta4",
    "apiServer": {"extraEnvs": _LAZY_GARBAGE},
    "etcd": {"local": {"extraEnvs": _LAZY_GARBAGE}},
}
"""A small cluster's heaps are small, and Go collects them many times a second: a quarter of the API
server's CPU time with 50 jobs/s, against 300 MB of memory."""


def full_name(image: str) -> str:
    """The name under which containerd keeps an image that Docker knows as `image`."""
    host, slash, _ = image.partition("/")
    return image if slash and "." in host else f"docker.io/library/{image}"


def configuration(port: int, resolv_conf: Path | None) -> str:
    """The configuration for kind; `resolv_conf` is the file that a home-made node is given."""
    mapping = {"containerPort": NODE_PORT, "hostPort": port, "listenAddress": LISTEN_ADDRESS}
    node: dict[str, object] = {"role": "control-plane", "extraPortMappings": [mapping]}
    content: dict[str, object] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [node],
        "kubeadmConfigPatches": [json.dumps(CONTROL_PLANE)],
    }

    if resolv_conf:
        mount = {"hostPath": str(resolv_conf), "containerPath": NODE_RESOLV_CONF, "readOnly": True}
        node["extraMounts"] = [mount]
        # The image carries no iptables for kube-proxy.
        content["networking"] = {"kubeProxyMode": "nftables"}

    return json.dumps(content, indent=2)


def name_servers(resolv_confs: Iterable[str]) -> str:
    """A resolv.conf with the name servers that a pod can reach, from the first file that has any."""
    for text in resolv_confs:
        words = [line.split() for line in text.splitlines()]
        servers = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
        reachable = [server for server in servers if not server.startswith(("127.", "::1"))]
        if reachable:
            return "".join(f"nameserver {server}\n" for server in reachable)
    return f"nameserver {NO_NAME_SERVER}\n"


def is_free(port: int) -> bool:
    """Whether this machine's port can be listened on."""
    # On macOS, one program can listen on a port at one address while another has it at all
    # addresses.
    with socket.socket() as visitor:
        visitor.settimeout(VISIT_SECONDS)
        if visitor.connect_ex((LISTEN_ADDRESS, port)) == 0:
            return False

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LISTEN_ADDRESS, port))
        except OSError:
            return False

    return True


def check_port(node: Node | None, cluster: str, port: int) -> None:
    """Raise ClusterError at once, not after long builds, when the cluster could not have the port."""
    if node is None:
        require_free(port)
    elif node.port != port:
        raise ClusterError(
            f"Cluster {cluster} has port {node.port}, which can't change: `PORT={node.port} make up` keeps "
            "it; `make down` deletes it, with all its jobs"
        )


def require_free(port: int) -> None:
    """Raise ClusterError when another program has the port."""
    if is_free(port):
        return

    holder = ""
    with contextlib.suppress(ClusterError):
        holder = shell.output(["ss", "--no-header", "-ltnp", f"sport = :{port}"]).strip()

    raise ClusterError(
        f"Port {port} of this machine is taken. Choose another: PORT={port + 1} make up\n{holder}"
    )
