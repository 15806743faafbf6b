"""Run a component of the release from the checkout, with the environment of its Deployment."""

import contextlib
import copy
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cluster.client import Client
from cluster.context import BuildContext
from cluster.dev.pod_environment import Json, PodEnvironment, find, get, parse
from cluster.errors import ClusterError
from cluster.existing_cluster import forwarded
from cluster.kind import LISTEN_ADDRESS, require_free
from cluster.release import NAMESPACE, RELEASE
from cluster.run import shell

# Lifetime of the token, which is longer than a workday. The API server may shorten it.
TOKEN_HOURS = 24
# How long to wait for the pods to stop. Their terminationGracePeriodSeconds is 30.
POD_GONE_SECONDS = 60.0
# How long the process may take to finish its current requests and writes before it is killed.
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Component:
    """A component that can run from the checkout."""

    name: str
    module: str
    alone: bool
    """Whether the pods in the cluster must be stopped, because two instances would compete."""

    @property
    def deployment(self) -> str:
        """The name of the component's Deployment."""
        return f"{RELEASE}-{self.name}"

    @property
    def selector(self) -> str:
        """The label selector of the component's pods."""
        return f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={self.name}"


API = Component("api", "vision_node_api", alone=False)
# The operator has no leader election, so two operators would assign the same ImageJobs.
OPERATOR = Component("operator", "vision_node_operator", alone=True)
COMPONENTS = {component.name: component for component in (API, OPERATOR)}


def run(ctx: BuildContext, client: Client, uv: Path, component: Component, port: int) -> int:
    """Run the component in the foreground until it ends or is stopped with Ctrl-C.

    Returns the exit status. The component has the same permissions as in the cluster, because its
    kubeconfig has a token for the same service account.
    """
    require_free(port, f"DEV_PORT={port + 1} make dev PART={component.name}")
    pod = get(client, "deployment", component.deployment)["spec"]["template"]["spec"]
    fields = {
        "metadata.name": f"{component.deployment}-dev",
        "metadata.namespace": NAMESPACE,
        "metadata.uid": "dev",
    }
    variables = PodEnvironment(client, fields).resolve(pod["containers"][0])

    with contextlib.ExitStack() as stack:
        if component.alone:
            stack.enter_context(_scaled_to_zero(ctx, client, component))

        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kubeconfig = _kubeconfig_of(client, pod["serviceAccountName"], folder)
        services = stack.enter_context(_reachable_services(client, variables))
        env = process_environment(variables | services, kubeconfig, f"{LISTEN_ADDRESS}:{port}")
        env["METRICS_LISTEN_ADDRESS"] = f"{LISTEN_ADDRESS}:{free_port()}"
        # Kubernetes clients write the kubeconfig's certificates to temporary files.
        env["TMPDIR"] = str(folder)

        url = f"http://{LISTEN_ADDRESS}:{port}"
        metrics = f"http://{env['METRICS_LISTEN_ADDRESS']}/metrics"
        ctx.progress.say(f"▸ {component.name} at {url}, {metrics}; press Ctrl-C to stop it")
        return run_in_foreground(
            [uv, "run", "--frozen", "python", "-m", component.module], env, ctx
        )


def process_environment(
    variables: Mapping[str, str], kubeconfig: Path, address: str
) -> dict[str, str]:
    """Return the process's environment: the user's variables, overridden by the container's."""
    env = os.environ | variables | {"KUBECONFIG": str(kubeconfig), "LISTEN_ADDRESS": address}
    # If this variable were set, the process would look for files that only pods have.
    env.pop("KUBERNETES_SERVICE_HOST", None)

    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, [env.get(name), LISTEN_ADDRESS]))

    return env


def run_in_foreground(
    command: Sequence[shell.Argument], env: dict[str, str], ctx: BuildContext
) -> int:
    """Run the command until it ends; return its exit status, or 0 after Ctrl-C."""
    # The command gets its own session, so that Ctrl-C reaches only this process. The command then
    # gets SIGTERM, as in a pod.
    process = subprocess.Popen(
        list(map(str, command)), cwd=ctx.repository, env=env, start_new_session=True
    )

    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        return 0
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


@contextlib.contextmanager
def _scaled_to_zero(ctx: BuildContext, client: Client, component: Component) -> Iterator[None]:
    """Stop the component's pods while the block runs."""
    deployment = f"deployment/{component.deployment}"
    scale = ("-n", NAMESPACE, "scale", deployment)
    # The number is 0 if an earlier run was killed.
    replicas = get(client, "deployment", component.deployment)["spec"]["replicas"] or 1

    try:
        with ctx.progress.step(deployment, outcome="scaled to 0"):
            client.run_kubectl(*scale, "--replicas=0")
            _wait_until_gone(client, component)

        yield
    finally:
        with ctx.progress.step(deployment, outcome=f"scaled back to {replicas}"):
            client.run_kubectl(*scale, f"--replicas={replicas}")


def _wait_until_gone(client: Client, component: Component) -> None:
    deadline = time.monotonic() + POD_GONE_SECONDS
    while find(client, "pods", "--selector", component.selector):
        if time.monotonic() > deadline:
            raise ClusterError(f"The pods of {component.deployment} did not stop in time")
        time.sleep(0.5)


def _kubeconfig_of(client: Client, service_account: str, folder: Path) -> Path:
    """Write a kubeconfig with a token for the service account. Only the user can read the file."""
    view = ("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
    token = client.kubectl_output(
        *("-n", NAMESPACE, "create", "token", service_account, f"--duration={TOKEN_HOURS}h")
    )
    content = with_token(parse(client.kubectl_output(*view)), token.strip())

    file = folder / "kubeconfig"
    file.touch(0o600)
    file.write_text(json.dumps(content))
    return file


def with_token(kubeconfig: Json, token: str) -> Json:
    """Return the kubeconfig with the token in place of the user's credentials."""
    changed = copy.deepcopy(kubeconfig)
    for user in changed["users"]:
        user["user"] = {"token": token}
    return changed


@contextlib.contextmanager
def _reachable_services(client: Client, variables: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the S3_ENDPOINT and DATABASE_URL to use on this machine while the block runs.

    If the container's S3_ENDPOINT or DATABASE_URL names a Service in the cluster, a local port is
    forwarded to it.
    """
    endpoint, url = variables.get("S3_ENDPOINT", ""), variables.get("DATABASE_URL", "")
    server = urlsplit(url).netloc.rpartition("@")[2]

    with contextlib.ExitStack() as stack:
        found = {}
        if storage := stack.enter_context(_local_address(client, endpoint)):
            found["S3_ENDPOINT"] = storage
        if database := stack.enter_context(_local_address(client, server)):
            found["DATABASE_URL"] = url.replace(server, database, 1)

        yield found


@contextlib.contextmanager
def _local_address(client: Client, address: str) -> Iterator[str]:
    """Forward a local port to a Service (host:port) while the block runs, and yield its address.

    Yields "" if no Service in the release's namespace has this address.
    """
    host, _, port = address.rpartition(":")
    service, namespace = service_of(host)

    # A URL may name several servers, separated by commas, but never does for a Service.
    in_cluster = (
        namespace == NAMESPACE
        and "," not in address
        and find(client, "services", f"--field-selector=metadata.name={service}")
    )
    if not in_cluster:
        yield ""
        return

    with forwarded(client, f"service/{service}", free_port(), int(port)) as local:
        yield local


def service_of(host: str) -> tuple[str, str]:
    """Return the name and namespace of the Service that has the host name `host`.

    Returns ("", "") if `host` does not have the form of a Service's host name.
    """
    match host.split("."):
        case [service] if service:
            return service, NAMESPACE
        case [service, namespace] | [service, namespace, "svc", *_]:
            return service, namespace
    return "", ""


def free_port() -> int:
    """Return a port on which a program can listen."""
    with socket.create_server((LISTEN_ADDRESS, 0)) as server:
        port: int = server.getsockname()[1]
        return port
