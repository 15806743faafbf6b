"""The project in the cluster: its namespace and its Helm release."""

import json
import os
import threading
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from cluster import diagnosis, dotenv
from cluster.artifacts.images import Images
from cluster.client import Client
from cluster.context import Workshop
from cluster.errors import ClusterError
from cluster.run.parallel import Parallel

RELEASE = "vision-node"
NAMESPACE = "vision-node"
CHART = Path("charts/vision-node")

HELM_TIMEOUT_SECONDS = 180
SERVING_SECONDS = 60.0

# Helm's records of an upgrade that it never finished, which it takes for one that still runs.
UNFINISHED = (
    f"owner=helm,name={RELEASE},status in (pending-install,pending-upgrade,pending-rollback)"
)


def values(images: Images, node_port: int | None) -> dict[str, object]:
    """Return the chart's values; `node_port` publishes the API on the node."""
    service = {"service": {"type": "NodePort", "nodePort": node_port}} if node_port else {}
    return {"images": images.values, "api": service}


def provider_values(settings: Mapping[str, str], revision: str) -> dict[str, object]:
    """Return the values that give workers the keys in `.env`; a new `revision` replaces running workers."""
    openai = {"openai": {"enabled": dotenv.chooses_openai(settings)}}
    return {
        "providerSecret": dotenv.SECRET,
        "providerSecretRevision": revision,
        "describers": openai,
    }


def install(shop: Workshop, client: Client, images: Images, node_port: int | None) -> None:
    """Install or upgrade the release and wait until it is ready."""
    settings = dotenv.read(shop.repository / ".env", os.environ)
    wanted = values(images, node_port)
    with shop.progress.step("release", outcome="ready"):
        client.apply(namespace())
        if settings:
            client.apply(dotenv.manifest(settings, NAMESPACE))
            wanted |= provider_values(settings, _revision(client))
        else:
            client.run_kubectl(
                "-n", NAMESPACE, "delete", "secret", dotenv.SECRET, "--ignore-not-found"
            )

        if client.kubeconfig:
            # Whoever was upgrading our own cluster was killed: this run has it alone.
            client.run_kubectl("-n", NAMESPACE, "delete", "secrets", "--selector", UNFINISHED)
        try:
            _upgrade(client, shop.repository / CHART, wanted)
        except ClusterError as error:
            raise ClusterError(f"{error}\n\n{diagnosis.describe(client, NAMESPACE)}") from None


def _revision(client: Client) -> str:
    """Return a text that changes with the content of the Secret for `.env` without revealing it."""
    version = "jsonpath={.metadata.resourceVersion}"
    return client.ask("-n", NAMESPACE, "get", "secret", dotenv.SECRET, "-o", version)


def _upgrade(client: Client, chart: Path, wanted: Mapping[str, object]) -> None:
    """Run helm until all is ready, or until a pod shows that it will not be."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    finished = threading.Event()

    def run() -> None:
        options = ("--namespace", NAMESPACE, "--values", "-")
        wait = ("--wait", "--timeout", f"{HELM_TIMEOUT_SECONDS}s")
        upgrade = ("upgrade", "--install", RELEASE, chart, *options, *wait)

        try:
            # JSON is YAML.
            client.run_helm(*upgrade, text_in=json.dumps(wanted))
        finally:
            finished.set()

    with Parallel() as parallel:
        parallel.start(run)
        parallel.start(lambda: diagnosis.watch(client, NAMESPACE, since, finished))


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


def wait_until_serving(shop: Workshop, client: Client, url: str) -> None:
    """Wait until the API takes images, on the way that users take to it."""
    # A proxy of the environment knows nothing of this machine's own ports.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + SERVING_SECONDS
    with shop.progress.step("API", outcome=f"ready at {url}"):
        while True:
            trouble = _trouble(opener, f"{url}/readyz")
            if not trouble:
                return
            if time.monotonic() > deadline:
                found = diagnosis.describe(client, NAMESPACE)
                raise ClusterError(f"{url}/readyz: {trouble}\n\n{found}")
            time.sleep(0.2)


def _trouble(opener: urllib.request.OpenerDirector, url: str) -> str:
    """What keeps the API from taking images; empty if nothing does.

    It is ready as soon as it can tell the states of jobs, even while its bucket is still being
    made.
    """
    try:
        with opener.open(url, timeout=5) as answer:
            told = json.load(answer)
    except (OSError, ValueError) as error:
        return str(error)

    if not isinstance(told, dict):
        return f"it answers {told}"

    states = {name: told.get(name) for name in ("storage", "kubernetes")}
    return "" if set(states.values()) == {"ok"} else f"it answers {told}"
