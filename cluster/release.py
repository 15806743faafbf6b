"""The project in the cluster: namespace, Helm release, and what is wrong when it does not start."""

import contextlib
import json
import os
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster import shell
from cluster.errors import ClusterError
from cluster.images import Images
from cluster.workshop import Workshop

RELEASE = "vision-node"
NAMESPACE = "vision-node"
CHART = Path("charts/vision-node")

HELM_TIMEOUT_SECONDS = 180
SERVING_SECONDS = 60.0

# How much of each unready pod's log a diagnosis shows.
LOG_LINES = 30


@dataclass(frozen=True)
class Client:
    """The programs kubectl and helm, aimed at one cluster."""

    kubectl: Path
    helm: Path
    kubeconfig: Path | None
    """None: what the user's own kubectl points at."""

    @property
    def env(self) -> dict[str, str]:
        """The environment that aims them."""
        aim = {"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig else {}
        return os.environ | aim

    def apply(self, manifest: Mapping[str, object]) -> None:
        """Have the object in the cluster as it is here."""
        apply = (self.kubectl, "apply", "-f", "-")
        shell.run(apply, env=self.env, text_in=json.dumps(manifest))

    def run_kubectl(self, *arguments: shell.Argument) -> None:
        """Run kubectl; its output goes into the step's log."""
        shell.run([self.kubectl, *arguments], env=self.env)

    def run_helm(self, *arguments: shell.Argument) -> None:
        """Run helm; its output goes into the step's log."""
        shell.run([self.helm, *arguments], env=self.env)

    def ask(self, *arguments: shell.Argument) -> str:
        """What kubectl prints."""
        return shell.output([self.kubectl, *arguments], env=self.env)


def values(images: Images, node_port: int | None) -> str:
    """The chart's values as JSON, which is YAML; `node_port` publishes the API on the node."""
    service = {"service": {"type": "NodePort", "nodePort": node_port}} if node_port else {}
    return json.dumps({"images": asdict(images), "api": service}, indent=2)


def install(shop: Workshop, client: Client, images: Images, node_port: int | None) -> None:
    """Install or upgrade the release and wait until it is ready."""
    file = shop.cache.folder("releases") / "values.json"
    file.write_text(values(images, node_port))
    options = ("--namespace", NAMESPACE, "--values", file)
    wait = ("--wait", "--timeout", f"{HELM_TIMEOUT_SECONDS}s")
    chart = shop.repository / CHART
    with shop.progress.step("release", outcome="ready"):
        client.apply(namespace())
        try:
            client.run_helm("upgrade", "--install", RELEASE, chart, *options, *wait)
        except ClusterError as error:
            raise ClusterError(f"{error}\n\n{diagnosis(client)}") from None


def namespace() -> dict[str, object]:
    """The release's namespace, where only pods of the strictest Pod Security level may run."""
    modes = ("enforce", "warn", "audit")
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in modes}
    metadata = {"name": NAMESPACE, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def uninstall(client: Client) -> None:
    """Take the release and its namespace away again."""
    client.run_helm("uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found", "--wait")
    client.run_kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")


def diagnosis(client: Client) -> str:
    """What a person would look at first: pods, events, and the logs of pods that are not ready."""
    parts = [
        ("Pods", _asked(client, "get", "pods", "-o", "wide")),
        ("Events", _asked(client, "get", "events", "--sort-by=.lastTimestamp")),
    ]
    for pod in _unready_pods(client):
        logs = ("logs", pod, "--all-containers", "--prefix", f"--tail={LOG_LINES}")
        parts.append((f"Log of {pod}", _asked(client, *logs)))
        parts.append((f"Log of {pod} before its restart", _asked(client, *logs, "--previous")))
    return "\n\n".join(f"{title}:\n{text}" for title, text in parts if text)


def _unready_pods(client: Client) -> list[str]:
    ready = '{range .status.conditions[?(@.type=="Ready")]}{.status}{end}'
    path = "{range .items[*]}{.metadata.name} " + ready + '{"\\n"}{end}'
    lines = _asked(client, "get", "pods", "-o", f"jsonpath={path}").splitlines()
    return [line.split()[0] for line in lines if not line.endswith("True")]


def _asked(client: Client, *arguments: str) -> str:
    """The answer of kubectl, or nothing: a diagnosis must not fail itself."""
    with contextlib.suppress(ClusterError):
        return client.ask("-n", NAMESPACE, "--request-timeout=10s", *arguments).rstrip()
    return ""


def wait_until_serving(shop: Workshop, client: Client, url: str) -> None:
    """Wait for the API to say that it is ready, on the way that users take to it."""
    # A proxy of the environment knows nothing of this machine's own ports.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + SERVING_SECONDS
    with shop.progress.step("API", outcome=f"ready at {url}"):
        while True:
            try:
                opener.open(f"{url}/readyz", timeout=5).close()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"{url}/readyz does not answer well: {error}\n\n{diagnosis(client)}"
                    ) from None
                time.sleep(0.2)
            else:
                return
