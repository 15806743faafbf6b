"""The verbs of the command line."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import access, demo, existing_cluster, kind, release, status
from cluster import engine as engines
from cluster.artifacts import debian, images, registry, tools
from cluster.artifacts.cache import remove
from cluster.artifacts.images import Images
from cluster.artifacts.tools import Tools
from cluster.client import Client
from cluster.context import BuildContext
from cluster.dev import component, project_version, worker
from cluster.engine import Engine
from cluster.errors import ClusterError
from cluster.existing_cluster import Choice, Current
from cluster.kind import Kind
from cluster.release import NAMESPACE
from cluster.run import shell
from cluster.run.parallel import Parallel, Result

DEFAULT_CLUSTER = "vision-node"
TEST_CLUSTER = "vision-node-test"
TEST_PORTS = range(8010, 8110)
SUITES = ("e2e", "faults")
BROWSER_SUITE = "e2e"
WORKER = "worker"
DEV_COMPONENTS = (*component.COMPONENTS, WORKER)


@dataclass(frozen=True)
class RunningCluster:
    """A kind cluster with the release installed, and the engine and tools to use it."""

    engine: Engine
    tools: Tools
    kind: Kind
    url: str


def up(ctx: BuildContext, name: str, port: int) -> None:
    """Start a cluster with everything on it, and describe a picture to show that it works."""
    choice = Choice.from_environment()
    if choice is not Choice.KIND:
        _up_on_existing_cluster(ctx, choice, name, port)
        return

    with _cluster_lock(ctx, name):
        running = kind_up(ctx, name, port)
        kept = running.kind.add_to_user_kubeconfig(running.tools.kubectl)

    client = Client(running.tools.kubectl, running.tools.helm, running.kind.kubeconfig)
    _print_demo(ctx, client, name, running.url)
    if kept:
        print(
            f"The current context of your kubectl is still {kept}. "
            f"To use this cluster, add --context {running.kind.context}"
        )


def _up_on_existing_cluster(ctx: BuildContext, choice: Choice, name: str, port: int) -> None:
    with _cluster_lock(ctx, name):
        client = existing_cluster_up(ctx, choice, name)
    service, api_port = existing_cluster.API_SERVICE, existing_cluster.API_PORT
    with existing_cluster.forwarded(client, service, port, api_port) as address:
        _print_demo(ctx, client, name, f"http://{address}")
    command = f"kubectl -n {NAMESPACE} port-forward {service} {port}:{api_port}"
    print(f"The address works only while this command runs: {command}")


@contextlib.contextmanager
def _cluster_lock(ctx: BuildContext, name: str) -> Iterator[None]:
    """Keep other runs from changing the cluster or stopping the engine."""
    with ctx.cache.locked(f"cluster-{name}", ctx.progress.say), ctx.cache.shared(engines.IN_USE):
        yield


def kind_up(ctx: BuildContext, name: str, port: int, *, fresh: bool = False) -> RunningCluster:
    """Start a kind cluster with the release on it. If `fresh`, delete an existing cluster first."""
    engine = engines.ensure(ctx)
    kind.check_port(None if fresh else kind.find_node(engine, name), name, port)
    from_packages = registry.must_build_from_packages(ctx, engine)

    with Parallel() as parallel:
        found = parallel.start(lambda: tools.ensure_all(ctx, from_packages=from_packages))
        node = parallel.start(
            lambda: registry.node_image_name(ctx, engine, from_packages=from_packages)
        )
        built = parallel.start(lambda: images.ensure(ctx, engine, from_packages=from_packages))
        cluster = parallel.start(
            lambda: _cluster(ctx, engine, found, node, name=name, port=port, fresh=fresh)
        )

    client = Client(found.get().kubectl, found.get().helm, cluster.get().kubeconfig)
    cluster.get().load(built.get().all)
    release.install(ctx, client, built.get(), kind.NODE_PORT)
    url = f"http://{kind.LISTEN_ADDRESS}:{port}"
    release.wait_until_serving(ctx, client, url)
    cluster.get().prune(built.get().all)

    return RunningCluster(engine, found.get(), cluster.get(), url)


def _cluster(
    ctx: BuildContext,
    engine: Engine,
    found: Result[Tools],
    node: Result[str],
    *,
    name: str,
    port: int,
    fresh: bool,
) -> Kind:
    cluster = Kind(ctx, engine, found.get().kind, name)
    if fresh:
        cluster.delete()

    cluster.ensure(node.get(), port)
    return cluster


def existing_cluster_up(ctx: BuildContext, choice: Choice, name: str) -> Client:
    """Install the release in minikube, or in the cluster of kubectl's current context."""
    engine = engines.ensure(ctx)
    from_packages = registry.must_build_from_packages(ctx, engine)
    found = tools.ensure_all(ctx, from_packages=from_packages)
    client = Client(found.kubectl, found.helm, None)

    if choice is Choice.MINIKUBE:
        with ctx.progress.step("minikube", outcome="running"):
            existing_cluster.minikube_start(name)

    # Check first whether the cluster can get the images, before they are built.
    current = Current.of(client)
    built = images.ensure(ctx, engine, from_packages=from_packages)
    with ctx.progress.step(f"images into {current.context}"):
        delivered = current.deliver(engine, found.kind, built)

    release.install(ctx, client, delivered, node_port=None)
    return client


def _print_demo(ctx: BuildContext, client: Client, name: str, url: str) -> None:
    """Print the timings and the demonstration."""
    print(f"\n{ctx.progress.table()}\n", file=sys.stderr)
    variables = "" if name == DEFAULT_CLUSTER else f" NAME={name}"
    demo.show(ctx.repository, url, variables, access.find(client, NAMESPACE))


def down(ctx: BuildContext, name: str) -> None:
    """Delete what `up` created, and stop everything that it started."""
    match Choice.from_environment():
        case Choice.KIND:
            kind_down(ctx, name)
        case Choice.MINIKUBE:
            with ctx.progress.step(f"minikube cluster {name}", outcome="deleted"):
                shell.run(["minikube", "delete", "-p", name])
        case Choice.CURRENT:
            found = tools.ensure_all(ctx, from_packages=False)
            with ctx.progress.step("release", outcome="uninstalled"):
                release.uninstall(Client(found.kubectl, found.helm, None))


def kind_down(ctx: BuildContext, name: str) -> None:
    """Delete the kind cluster, and stop this cache's engine unless something else needs it."""
    with _cluster_lock(ctx, name):
        _delete(ctx, name)
    engines.stop(ctx)


def _delete(ctx: BuildContext, name: str) -> None:
    if engine := engines.find(ctx):
        cluster = Kind(ctx, engine, tools.get(ctx, tools.KIND), name)
        with ctx.progress.step(f"cluster {name}", outcome="deleted"):
            cluster.delete()
    else:
        ctx.progress.note(f"cluster {name}", "not running, because no Docker engine is running")

    remove(ctx.cache.root / "clusters" / name)


def test(ctx: BuildContext, suites: Sequence[str], arguments: Sequence[str]) -> int:
    """Run the suites on a fresh cluster, delete the cluster, and return pytest's exit status."""
    # The cleanup prints nothing, so that pytest's summary comes last.
    quiet = ctx.quiet()

    try:
        with _cluster_lock(ctx, TEST_CLUSTER):
            try:
                return _run_suites(ctx, suites, arguments)
            finally:
                if os.environ.get("KEEP") != "1":
                    _delete(quiet, TEST_CLUSTER)
    finally:
        engines.stop(quiet)


def _run_suites(ctx: BuildContext, suites: Sequence[str], arguments: Sequence[str]) -> int:
    """Create the cluster, run the suites on it, and return pytest's exit status."""
    port = next((port for port in TEST_PORTS if kind.is_free(port)), TEST_PORTS[0])

    with Parallel() as parallel:
        if BROWSER_SUITE in suites:
            parallel.start(lambda: debian.chromium(ctx))
            parallel.start(lambda: debian.nginx(ctx))
        uv_path = parallel.start(lambda: tools.uv(ctx))
        running = parallel.start(lambda: kind_up(ctx, TEST_CLUSTER, port, fresh=True))

    print(f"\n{ctx.progress.table()}\n", file=sys.stderr, flush=True)
    folders = [f"tests/{suite}" for suite in suites]
    return _pytest(ctx, running.get(), uv_path.get(), [*folders, *arguments])


def _pytest(
    ctx: BuildContext, running: RunningCluster, uv_path: Path, arguments: Sequence[str]
) -> int:
    """Run tests on the running cluster, and return pytest's exit status."""
    cluster = running.kind
    env = running.engine.env | environment(ctx, running.engine, cluster.name)
    env["VISION_NODE_URL"] = running.url

    command: list[shell.Argument] = [
        *(uv_path, "run", "--frozen", "pytest"),
        *("--cluster-name", cluster.name, "--kubeconfig", cluster.kubeconfig),
        # The tests must not delete the cluster, because `test` does so.
        "--keep-cluster",
        *("--kind-bin", cluster.program, "--kind-kubectl-bin", running.tools.kubectl),
        *arguments,
    ]

    return subprocess.run(command, check=False, cwd=ctx.repository, env=env).returncode


def environment(ctx: BuildContext, engine: Engine | None, name: str) -> dict[str, str]:
    """Return the environment variables for the tools and the cluster `name`."""
    path = os.pathsep.join([str(ctx.cache.bin), os.environ.get("PATH", "")])
    found = {"PATH": path}
    if engine and engine.is_ours:
        found["DOCKER_HOST"] = engine.variables["DOCKER_HOST"]

    kubeconfig = ctx.cache.root / "clusters" / name / "kubeconfig"
    if Choice.from_environment() is Choice.KIND and kubeconfig.exists():
        found["KUBECONFIG"] = str(kubeconfig)

    return found


def env(ctx: BuildContext, name: str) -> None:
    """Print the environment as `export` lines for the shell's eval."""
    _require_cluster(ctx, name)
    for variable, value in environment(ctx, engines.find(ctx), name).items():
        print(f"export {variable}={shlex.quote(value)}")


def _require_cluster(ctx: BuildContext, name: str) -> None:
    """Raise ClusterError if there is no such cluster.

    Without this check, kubectl would use its current context, which may be another cluster.
    """
    if Choice.from_environment() is not Choice.KIND:
        return
    known = sorted(path.parent.name for path in ctx.cache.root.glob("clusters/*/kubeconfig"))
    if name not in known:
        others = f" Clusters that are up: {', '.join(known)} (set NAME)." if known else ""
        raise ClusterError(f"Cluster {name} is not up.{others} `make up` starts it")


def show_status(ctx: BuildContext, name: str) -> None:
    """Print the cluster's workloads and newest jobs."""
    status.show(_client(ctx, name))


def dev_component(ctx: BuildContext, name: str, component_name: str, port: int) -> int:
    """Run a component from the checkout until Ctrl-C; return its exit status."""
    client = _client(ctx, name)
    found = component.COMPONENTS[component_name]
    # The lock keeps `make up` from starting the component's pods again.
    lock = _cluster_lock(ctx, name) if found.alone else contextlib.nullcontext()
    with lock:
        return component.run(ctx, client, tools.uv(ctx.terse()), found, port)


def dev_worker(ctx: BuildContext, name: str, describer: str, file: Path) -> int:
    """Describe a file with the describer class in the checkout; return the exit status."""
    client = _client(ctx, name)
    return worker.run(ctx, client, tools.uv(ctx.terse()), describer, file)


def _client(ctx: BuildContext, name: str) -> Client:
    """Return a client for the cluster `name`. Raises ClusterError if it is not up."""
    _require_cluster(ctx, name)
    found = environment(ctx, None, name)
    program = shutil.which("kubectl", path=found["PATH"]) or tools.kubectl(
        ctx.terse(), from_packages=False
    )
    kubeconfig = Path(found["KUBECONFIG"]) if "KUBECONFIG" in found else None
    # The callers do not use helm.
    return Client(Path(program), Path("helm"), kubeconfig)


def run(ctx: BuildContext, name: str, command: Sequence[str]) -> None:
    """Replace this process with the command. Raises ClusterError if the cluster is not up."""
    _require_cluster(ctx, name)
    execute(ctx, name, command)


def execute(ctx: BuildContext, name: str, command: Sequence[str]) -> None:
    """Replace this process with the command, which can use the tools and the cluster."""
    found = os.environ | environment(ctx, engines.find(ctx), name)
    os.environ["PATH"] = found["PATH"]
    os.execvpe(command[0], list(command), found)  # noqa: S606  # the user's own command


def uv(ctx: BuildContext, name: str, arguments: Sequence[str]) -> None:
    """Replace this process with the pinned uv."""
    execute(ctx, name, [str(tool(ctx, "uv")), *arguments])


def set_version(ctx: BuildContext, name: str, version: str) -> None:
    """Set the project's version in all files, then update uv.lock."""
    for file in project_version.write(ctx.repository, version):
        print(file.relative_to(ctx.repository))

    print("uv.lock")
    uv(ctx, name, ["lock", "--quiet"])


def build_images(ctx: BuildContext) -> Images:
    """Build the images that the engine lacks, and return the names of all images."""
    with ctx.cache.shared(engines.IN_USE):
        engine = engines.ensure(ctx)
        return images.ensure(
            ctx, engine, from_packages=registry.must_build_from_packages(ctx, engine)
        )


def tool(ctx: BuildContext, name: str) -> Path:
    """Return the path of a tool; get the tool if necessary. Print only steps that do any work."""
    ctx = ctx.terse()
    match name:
        case "uv":
            return tools.uv(ctx)
        case "kubectl":
            return tools.kubectl(ctx, from_packages=False)

    known = {
        known.name: known for known in (tools.KIND, tools.HELM, tools.HELM_3, tools.KUBECONFORM)
    }
    if name not in known:
        raise ClusterError(f"Unknown tool {name}. Choose one of: uv, kubectl, {', '.join(known)}")

    return tools.get(ctx, known[name])


def clean(ctx: BuildContext, name: str) -> None:
    """Delete everything: the clusters, this cache's engine with its data, and the cache."""
    for cluster in (name, TEST_CLUSTER):
        kind_down(ctx, cluster)

    if engines.engine_directory(ctx).process():
        raise ClusterError(
            "Other containers are running on this cache's Docker engine: stop them first"
        )

    engines.unmount(ctx)
    for path in ctx.cache.root.iterdir():
        remove(path)

    ctx.progress.say(f"✓ {ctx.cache.root}: empty")
