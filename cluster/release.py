"""Install the project's namespace and Helm release in the cluster."""

import json
import os
import threading
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from cluster import access, diagnosis, dotenv
from cluster.artifacts.images import CLOUD_DESCRIBERS, Images
from cluster.client import Client
from cluster.context import BuildContext
from cluster.errors import ClusterError
from cluster.run.parallel import Parallel

RELEASE = "vision-node"
NAMESPACE = "vision-node"
CHART = Path("charts/vision-node")

# These Describers wait for their providers, not for the CPU, as the chart's Describer openai does.
CLOUD_CONCURRENCY = 8

HELM_TIMEOUT_SECONDS = 180
SERVING_SECONDS = 60.0

# Label selector for Helm's records of unfinished upgrades. Helm treats these as still running.
UNFINISHED = (
    f"owner=helm,name={RELEASE},status in (pending-install,pending-upgrade,pending-rollback)"
)


def values(images: Images, node_port: int | None) -> dict[str, object]:
    """Return the chart's values. `node_port` is the API's port on the node; None means no port."""
    service = {"service": {"type": "NodePort", "nodePort": node_port}} if node_port else {}
    return {"images": images.values, "api": service}


def describer_values(images: Images, settings: Mapping[str, str]) -> dict[str, object]:
    """Return the chart's value `describers`, with the Describers that call a provider.

    The cloud image's Describers exist even without keys. A submission that names one then fails
    with the reason CredentialsMissing, which says what to do.
    """
    cloud = {"image": images.cloud, "concurrency": CLOUD_CONCURRENCY}
    names = CLOUD_DESCRIBERS if images.cloud else ()
    openai = {"enabled": dotenv.enables_openai(settings)}
    return {"openai": openai, **dict.fromkeys(names, cloud)}


def provider_values(revision: str) -> dict[str, object]:
    """Return the values that give workers the keys in `.env`.

    If `revision` is new, running workers are replaced.
    """
    return {"providerSecret": dotenv.SECRET, "providerSecretRevision": revision}


def install(ctx: BuildContext, client: Client, images: Images, node_port: int | None) -> None:
    """Install or upgrade the release and wait until it is ready."""
    settings = dotenv.read(ctx.repository / ".env", os.environ, cloud=bool(images.cloud))
    wanted = values(images, node_port) | {"describers": describer_values(images, settings)}

    with ctx.progress.step("release", outcome="ready"):
        client.apply(namespace())
        if settings:
            client.apply(dotenv.secret_manifest(settings, NAMESPACE))
            wanted |= provider_values(_revision(client))
        else:
            client.run_kubectl(
                "-n", NAMESPACE, "delete", "secret", dotenv.SECRET, "--ignore-not-found"
            )

        if client.kubeconfig:
            # This run holds the lock of the kind cluster. So if there is an unfinished upgrade, its
            # process was killed.
            client.run_kubectl("-n", NAMESPACE, "delete", "secrets", "--selector", UNFINISHED)

        wanted |= access.values(client, RELEASE, NAMESPACE, os.environ)
        try:
            _upgrade(client, ctx.repository / CHART, wanted)
        except ClusterError as error:
            raise ClusterError(f"{error}\n\n{diagnosis.describe(client, NAMESPACE)}") from None


def _revision(client: Client) -> str:
    """Return a string that changes with the Secret for `.env` but does not reveal its content."""
    version = "jsonpath={.metadata.resourceVersion}"
    return client.kubectl_output("-n", NAMESPACE, "get", "secret", dotenv.SECRET, "-o", version)


def _upgrade(client: Client, chart: Path, wanted: Mapping[str, object]) -> None:
    """Run helm until everything is ready, or until a pod has a permanent failure."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    finished = threading.Event()

    def run() -> None:
        options = ("--namespace", NAMESPACE, "--values", "-")
        wait = ("--wait", "--timeout", f"{HELM_TIMEOUT_SECONDS}s")
        upgrade = ("upgrade", "--install", RELEASE, chart, *options, *wait)

        try:
            # helm expects YAML, which includes JSON.
            client.run_helm(*upgrade, text_in=json.dumps(wanted))
        finally:
            finished.set()

    with Parallel() as parallel:
        parallel.start(run)
        parallel.start(lambda: diagnosis.watch(client, NAMESPACE, since, finished))


def namespace() -> dict[str, object]:
    """Return the release's namespace, which enforces the strictest Pod Security level."""
    modes = ("enforce", "warn", "audit")
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in modes}
    metadata = {"name": NAMESPACE, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def uninstall(client: Client) -> None:
    """Delete the release and its namespace."""
    client.run_helm("uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found", "--wait")
    client.run_kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")


def wait_until_serving(ctx: BuildContext, client: Client, url: str) -> None:
    """Wait until the API accepts images at the address that users use."""
    # The environment's proxy is not used, because it can't reach this machine's own ports.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + SERVING_SECONDS

    with ctx.progress.step("API", outcome=f"ready at {url}"):
        while problem := _readiness_problem(opener, f"{url}/readyz"):
            if time.monotonic() > deadline:
                found = diagnosis.describe(client, NAMESPACE)
                raise ClusterError(f"{url}/readyz: {problem}\n\n{found}")

            time.sleep(0.2)


def _readiness_problem(opener: urllib.request.OpenerDirector, url: str) -> str:
    """Return the reason why the API does not accept images; empty if it does.

    The status code is not enough, because the API counts as ready once it can report the states of
    jobs, even if its bucket does not exist yet.
    """
    try:
        with opener.open(url, timeout=5) as response:
            answer = json.load(response)
    except (OSError, ValueError) as error:
        return str(error)

    if not isinstance(answer, dict):
        return f"it answers {answer}"

    states = {name: answer.get(name) for name in ("storage", "kubernetes")}
    return "" if set(states.values()) == {"ok"} else f"it answers {answer}"
