"""Create, find and delete a kind cluster, and load images into it."""

import contextlib
import json
import socket
import time
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from cluster.artifacts import node_image
from cluster.context import BuildContext
from cluster.engine import Engine
from cluster.errors import ClusterError
from cluster.run import shell

# The API's NodePort, to which kind maps a local port.
NODE_PORT = 30080
LISTEN_ADDRESS = "127.0.0.1"

CREATE_WAIT_SECONDS = 60
# How long to wait for the API server of a restarted node, whose control plane must start again.
READY_SECONDS = 60.0
CHECK_SECONDS = 5.0
# Time limit for connecting to a local port. Connecting normally takes much less time.
CONNECT_SECONDS = 1.0
READY_CHECK = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "--raw=/readyz")

# Path of a file on the node. If the node image is built from packages, kubelet.service reads it.
NODE_RESOLV_CONF = "/etc/kubelet-resolv.conf"
# The second file has the machine's real name servers if /etc/resolv.conf names a local cache.
RESOLV_CONFS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
# The name server to use if the machine has none, because CoreDNS does not start without one. No
# host has this address (RFC 5737).
DUMMY_NAME_SERVER = "192.0.2.53"

CTR_IMAGES = ("ctr", "--namespace", "k8s.io", "images")

INSPECT = (
    "{{.State.Running}} {{.Config.Image}} "
    f'{{{{range index .HostConfig.PortBindings "{NODE_PORT}/tcp"}}}}{{{{.HostPort}}}}{{{{end}}}}'
)


@dataclass(frozen=True)
class Node:
    """The container that is the cluster's only node."""

    running: bool
    image: str
    port: int
    """The local port of the API; 0 if it has none."""

    @classmethod
    def parse(cls, inspected: str) -> "Node":
        """Parse the output of `docker inspect` with the template INSPECT."""
        running, image, *ports = inspected.split()
        return cls(running == "true", image, int(ports[0]) if ports else 0)


def node_name(cluster: str) -> str:
    """Return kind's name for the cluster's only node and for its container."""
    return f"{cluster}-control-plane"


def find_node(engine: Engine, cluster: str) -> Node | None:
    """Return the cluster's node; None if there is none."""
    inspect = ("container", "inspect", "--format", INSPECT, node_name(cluster))
    return Node.parse(engine.output(*inspect)) if engine.succeeds(*inspect) else None


class Action(Enum):
    """What to do with the cluster. The values are the outcomes that the user sees."""

    CREATE = "created"
    RECREATE = "recreated"
    START = "restarted"
    KEEP = "kept"


def decide(node: Node | None, image: str) -> tuple[Action, str]:
    """Return the action for an existing or missing node, and the reason to show to the user."""
    if node is None:
        return Action.CREATE, ""

    # Both kind's own image and an image that was built from packages work. Switching between
    # them must not recreate the cluster, because its data would be lost.
    from_packages = all(name.startswith(node_image.REPOSITORY) for name in (node.image, image))
    if from_packages and node.image != image:
        return Action.RECREATE, "its node image is out of date"

    return (Action.KEEP if node.running else Action.START), ""


@dataclass(frozen=True)
class NodeImage:
    """A name of an image in the node's containerd, and the image's digest."""

    name: str
    digest: str

    @classmethod
    def parse(cls, line: str) -> "NodeImage":
        """Parse a line of `ctr images ls`: name, media type, digest and more."""
        name, _, digest, *_ = line.split()
        return cls(name, digest)


def outdated(images: Sequence[NodeImage], wanted: Set[str]) -> list[str]:
    """Return all names of the project's images that are not wanted.

    Kubernetes gives each image a second name, and containerd deletes an image only after both names
    have been deleted.
    """
    prefix = full_name("vision-node-")
    used = {image.digest for image in images if image.name in wanted}
    ours = {image.digest for image in images if image.name.startswith(prefix)}

    return [image.name for image in images if image.digest in ours - used]


@dataclass(frozen=True)
class Kind:
    """A kind cluster and how to reach it."""

    ctx: BuildContext
    engine: Engine
    program: Path
    name: str

    @property
    def node_name(self) -> str:
        """The name of the node and of its container."""
        return node_name(self.name)

    @property
    def context(self) -> str:
        """The name of the cluster's context in kubeconfigs."""
        return f"kind-{self.name}"

    @property
    def kubeconfig(self) -> Path:
        """The cluster's own kubeconfig, which does not depend on the user's."""
        return self.ctx.cache.folder("clusters", self.name) / "kubeconfig"

    def ensure(self, image: str, port: int) -> None:
        """Make sure that the cluster runs, with the API on the given local port."""
        action, why = decide(find_node(self.engine, self.name), image)
        if action in (Action.KEEP, Action.START) and not self._start_and_check():
            action, why = Action.RECREATE, "its API server does not answer"

        if action is Action.RECREATE:
            self.ctx.progress.say(f"  cluster {self.name} must be recreated: {why}")
            self.delete()

        if action in (Action.CREATE, Action.RECREATE):
            with self.ctx.progress.step(f"cluster {self.name}", outcome=action.value):
                self._create(image, port)
        else:
            self.ctx.progress.note(f"cluster {self.name}", action.value)

    def _start_and_check(self) -> bool:
        """Start the node if it is stopped, and return whether its API server answers."""
        self.engine.run("start", self.node_name)
        self.export(self.kubeconfig)
        deadline = time.monotonic() + READY_SECONDS

        while time.monotonic() < deadline:
            check = ("exec", self.node_name, *READY_CHECK)
            if self.engine.succeeds(*check, timeout_seconds=CHECK_SECONDS):
                return True

            time.sleep(0.5)

        return False

    def _create(self, image: str, port: int) -> None:
        # A failed run may have left an incomplete node behind.
        self._kind("delete", "cluster", "--name", self.name, "--kubeconfig", self.kubeconfig)

        resolv_conf = self.kubeconfig.with_name("resolv.conf")
        texts = [file.read_text() for file in RESOLV_CONFS if file.exists()]
        resolv_conf.write_text(name_servers(texts))

        config = self.kubeconfig.with_name("kind.json")
        from_packages = image.startswith(node_image.REPOSITORY)
        config.write_text(configuration(port, resolv_conf if from_packages else None))

        wait = ("--wait", f"{CREATE_WAIT_SECONDS}s")
        self._kind(
            "create", "cluster", *self._name_options, "--image", image, "--config", config, *wait
        )

    def export(self, kubeconfig: Path | None) -> None:
        """Add the cluster to the given kubeconfig, or to the user's if it is None."""
        where = ("--kubeconfig", kubeconfig) if kubeconfig else ()
        self._kind("export", "kubeconfig", "--name", self.name, *where)

    def add_to_user_kubeconfig(self, kubectl: Path) -> str:
        """Add the cluster to the user's kubeconfig, but keep a current context that isn't kind's.

        By default, kind changes the current context, which is dangerous for users who work on a
        real cluster. Returns the context that was kept; empty if this cluster's context is now the
        current one.
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
        """Delete the cluster, and remove it from its own kubeconfig and from the user's."""
        self._kind("delete", "cluster", "--name", self.name)
        self._kind("delete", "cluster", *self._name_options)

    def load(self, images: Iterable[str]) -> None:
        """Load the images that the node lacks.

        All of them are loaded in one stream, because they share layers. Unlike `kind load`, this
        does not write a temporary file.
        """
        present = {image.name for image in self._images()}
        missing = sorted(name for name in images if full_name(name) not in present)

        if not missing:
            self.ctx.progress.note("images on the node", "all present")
            return

        with self.ctx.progress.step("images on the node", outcome=f"{len(missing)} loaded"):
            client = self.engine.client
            sink = [client, "exec", "--interactive", self.node_name, *CTR_IMAGES, "import", "-"]
            shell.pipe([client, "save", *missing], sink, env=self.engine.env)

    def prune(self, keep: Iterable[str]) -> None:
        """Delete the project's other images from the node."""
        old = outdated(self._images(), {full_name(name) for name in keep})
        if old:
            self._run_on_node(*CTR_IMAGES, "rm", *old)

    def _images(self) -> list[NodeImage]:
        lines = self._run_on_node(*CTR_IMAGES, "ls").splitlines()[1:]
        return [NodeImage.parse(line) for line in lines]

    def _run_on_node(self, *command: str) -> str:
        return self.engine.output("exec", self.node_name, *command)

    @property
    def _name_options(self) -> Sequence[shell.Argument]:
        return ("--name", self.name, "--kubeconfig", self.kubeconfig)

    def _kind(self, *arguments: shell.Argument) -> None:
        shell.run([self.program, *arguments], env=self.engine.env)


_LESS_GARBAGE_COLLECTION = [{"name": "GOGC", "value": "300"}]

CONTROL_PLANE = {
    "kind": "ClusterConfiguration",
    "apiVersion": "kubeadm.k8s.io/v1beta4",
    "apiServer": {"extraEnvs": _LESS_GARBAGE_COLLECTION},
    "etcd": {"local": {"extraEnvs": _LESS_GARBAGE_COLLECTION}},
}
"""kubeadm's configuration for the control plane, with less frequent garbage collection.

The heaps of a small cluster are small, so Go collects them many times a second. At 50 jobs/s, that
takes a quarter of the API server's CPU time. Collecting them less often costs 300 MB of memory.
"""


def full_name(image: str) -> str:
    """Return containerd's name for the image that Docker calls `image`."""
    host, slash, _ = image.partition("/")
    return image if slash and "." in host else f"docker.io/library/{image}"


def configuration(port: int, resolv_conf: Path | None) -> str:
    """Return kind's configuration; `resolv_conf` is None unless the node image is from packages."""
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
        # The node image from packages has no iptables for kube-proxy.
        content["networking"] = {"kubeProxyMode": "nftables"}

    return json.dumps(content, indent=2)


def name_servers(resolv_confs: Iterable[str]) -> str:
    """Return a resolv.conf with the name servers that pods can reach.

    The name servers come from the first text that has any.
    """
    for text in resolv_confs:
        words = [line.split() for line in text.splitlines()]
        servers = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
        reachable = [server for server in servers if not server.startswith(("127.", "::1"))]
        if reachable:
            return "".join(f"nameserver {server}\n" for server in reachable)
    return f"nameserver {DUMMY_NAME_SERVER}\n"


def is_free(port: int) -> bool:
    """Return whether a program can listen on this local port."""
    # Trying to bind is not enough. On macOS, one program can listen on a port at one address while
    # another program listens on the same port at all addresses.
    with socket.socket() as client:
        client.settimeout(CONNECT_SECONDS)
        if client.connect_ex((LISTEN_ADDRESS, port)) == 0:
            return False

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LISTEN_ADDRESS, port))
        except OSError:
            return False

    return True


def check_port(node: Node | None, cluster: str, port: int) -> None:
    """Raise ClusterError if the cluster can't use the port. Call this before building anything."""
    if node is None:
        require_free(port, f"PORT={port + 1} make up")
    elif node.port != port:
        raise ClusterError(
            f"Cluster {cluster} has port {node.port}, which can't be changed. Keep the cluster: "
            f"PORT={node.port} make up. Or delete it with all its jobs: make down"
        )


def require_free(port: int, alternative: str) -> None:
    """Raise ClusterError, with a command to try instead, if another program uses the port."""
    if is_free(port):
        return

    holder = ""
    with contextlib.suppress(ClusterError):
        holder = shell.output(["ss", "--no-header", "-ltnp", f"sport = :{port}"]).strip()

    raise ClusterError(f"Port {port} is in use. Choose another: {alternative}\n{holder}")
