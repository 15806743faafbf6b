"""What the verbs do."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import demo, existing_cluster, kind, release, status
from cluster import engine as engines
from cluster.artifacts import debian, images, registry, tools
from cluster.artifacts.cache import remove
from cluster.artifacts.images import Images
from cluster.artifacts.tools import Tools
from cluster.client import Client
from cluster.context import Workshop
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


@dataclass(frozen=True)
class Running:
    """A kind cluster with the release on it."""

    engine: Engine
    tools: Tools
    kind: Kind
    url: str


def up(shop: Workshop, name: str, port: int) -> None:
    """Bring up everything and show that it works."""
    choice = Choice.from_environment()
    if choice is not Choice.KIND:
        _up_elsewhere(shop, choice, name, port)
        return

    with _at_work(shop, name):
        running = kind_up(shop, name, port)
        kept = running.kind.into_users_kubeconfig(running.tools.kubectl)

    _show(shop, name, running.url)
    if kept:
        print(
            f"Your kubectl still points at {kept}; elsewhere add --context {running.kind.context}"
        )


def _up_elsewhere(shop: Workshop, choice: Choice, name: str, port: int) -> None:
    with _at_work(shop, name):
        client = elsewhere_up(shop, choice, name)
    with existing_cluster.forwarded(client, port) as url:
        _show(shop, name, url)
    target = f"{existing_cluster.API_SERVICE} {port}:{existing_cluster.API_PORT}"
    command = f"kubectl -n {NAMESPACE} port-forward {target}"
    print(f"That address answers as long as this runs: {command}")


@contextlib.contextmanager
def _at_work(shop: Workshop, name: str) -> Iterator[None]:
    """Nobody else changes that cluster or stops the engine."""
    with shop.cache.locked(f"cluster-{name}", shop.progress.say), shop.cache.shared(engines.IN_USE):
        yield


def kind_up(shop: Workshop, name: str, port: int, *, fresh: bool = False) -> Running:
    """Have a kind cluster of that name with the release on it; `fresh` deletes an older one."""
    engine = engines.ensure(shop)
    kind.check_port(None if fresh else kind.find_node(engine, name), name, port)
    made_here = registry.home_made(shop, engine)

    with Parallel() as parallel:
        found = parallel.start(lambda: tools.all_of(shop, home_made=made_here))
        node = parallel.start(lambda: registry.node_image_name(shop, engine, made_here=made_here))
        built = parallel.start(lambda: images.ensure(shop, engine, home_made=made_here))
        cluster = parallel.start(
            lambda: _cluster(shop, engine, found, node, name=name, port=port, fresh=fresh)
        )

    client = Client(found.get().kubectl, found.get().helm, cluster.get().kubeconfig)
    cluster.get().load(built.get().all)
    release.install(shop, client, built.get(), kind.NODE_PORT)
    url = f"http://{kind.LISTEN_ADDRESS}:{port}"
    release.wait_until_serving(shop, client, url)
    cluster.get().prune(built.get().all)

    return Running(engine, found.get(), cluster.get(), url)


def _cluster(
    shop: Workshop,
    engine: Engine,
    found: Result[Tools],
    node: Result[str],
    *,
    name: str,
    port: int,
    fresh: bool,
) -> Kind:
    cluster = Kind(shop, engine, found.get().kind, name)
    if fresh:
        cluster.delete()
    cluster.ensure(node.get(), port)
    return cluster


def elsewhere_up(shop: Workshop, choice: Choice, name: str) -> Client:
    """Have the release run in minikube, or in the cluster that kubectl points at."""
    engine = engines.ensure(shop)
    made_here = registry.home_made(shop, engine)
    found = tools.all_of(shop, home_made=made_here)
    client = Client(found.kubectl, found.helm, None)

    if choice is Choice.MINIKUBE:
        with shop.progress.step("minikube", outcome="runs"):
            existing_cluster.minikube_start(name)

    # Before the images: there may be no way for them.
    current = Current.of(client)
    built = images.ensure(shop, engine, home_made=made_here)
    with shop.progress.step(f"images into {current.context}"):
        delivered = current.deliver(engine, found.kind, built)

    release.install(shop, client, delivered, node_port=None)
    return client


def _show(shop: Workshop, name: str, url: str) -> None:
    """Print how long it took, and the demonstration."""
    print(f"\n{shop.progress.table()}\n", file=sys.stderr)
    demo.show(shop.repository, url, "" if name == DEFAULT_CLUSTER else f" NAME={name}")


def down(shop: Workshop, name: str) -> None:
    """Take away what `up` made; nothing of it stays running."""
    match Choice.from_environment():
        case Choice.KIND:
            kind_down(shop, name)
        case Choice.MINIKUBE:
            with shop.progress.step(f"minikube's cluster {name}", outcome="deleted"):
                shell.run(["minikube", "delete", "-p", name])
        case Choice.CURRENT:
            found = tools.all_of(shop, home_made=False)
            with shop.progress.step("release", outcome="uninstalled"):
                release.uninstall(Client(found.kubectl, found.helm, None))


def kind_down(shop: Workshop, name: str) -> None:
    """Delete the kind cluster, and stop our own engine when nothing else needs it."""
    with _at_work(shop, name):
        _delete(shop, name)
    engines.stop(shop)


def _delete(shop: Workshop, name: str) -> None:
    if engine := engines.find(shop):
        cluster = Kind(shop, engine, tools.get(shop, tools.KIND), name)
        with shop.progress.step(f"cluster {name}", outcome="deleted"):
            cluster.delete()
    else:
        shop.progress.note(f"cluster {name}", "does not run: no Docker engine does")
    remove(shop.cache.root / "clusters" / name)


def test(shop: Workshop, suites: Sequence[str], arguments: Sequence[str]) -> int:
    """Run those folders of tests/ on a fresh cluster that is deleted afterwards; pytest's status."""
    # Quietly: the tests' own summary is what a reader wants to see last.
    quiet = shop.quiet()
    port = next((port for port in TEST_PORTS if kind.is_free(port)), TEST_PORTS[0])
    try:
        with _at_work(shop, TEST_CLUSTER):
            try:
                with Parallel() as parallel:
                    if BROWSER_SUITE in suites:
                        parallel.start(lambda: debian.chromium(shop))
                        parallel.start(lambda: debian.nginx(shop))
                    uv_path = parallel.start(lambda: tools.uv(shop))
                    up = parallel.start(lambda: kind_up(shop, TEST_CLUSTER, port, fresh=True))

                print(f"\n{shop.progress.table()}\n", file=sys.stderr, flush=True)
                return _pytest(
                    shop,
                    up.get(),
                    uv_path.get(),
                    [*(f"tests/{suite}" for suite in suites), *arguments],
                )
            finally:
                if os.environ.get("KEEP") != "1":
                    _delete(quiet, TEST_CLUSTER)
    finally:
        engines.stop(quiet)


def _pytest(shop: Workshop, running: Running, uv_path: Path, arguments: Sequence[str]) -> int:
    """Run tests against that cluster; pytest's status."""
    cluster = running.kind
    env = running.engine.env | environment(shop, running.engine, cluster.name)
    command: list[shell.Argument] = [
        *(uv_path, "run", "--frozen", "pytest"),
        *("--cluster-name", cluster.name, "--kubeconfig", cluster.kubeconfig),
        # The tests find the cluster; whoever made it deletes it.
        "--keep-cluster",
        *("--kind-bin", cluster.program, "--kind-kubectl-bin", running.tools.kubectl),
        *arguments,
    ]
    env["VISION_NODE_URL"] = running.url

    return subprocess.run(command, check=False, cwd=shop.repository, env=env).returncode


def environment(shop: Workshop, engine: Engine | None, name: str) -> dict[str, str]:
    """What a shell needs to use the tools and the cluster of that name."""
    path = os.pathsep.join([str(shop.cache.bin), os.environ.get("PATH", "")])
    found = {"PATH": path}
    if engine and engine.is_ours:
        found["DOCKER_HOST"] = engine.variables["DOCKER_HOST"]

    kubeconfig = shop.cache.root / "clusters" / name / "kubeconfig"
    if Choice.from_environment() is Choice.KIND and kubeconfig.exists():
        found["KUBECONFIG"] = str(kubeconfig)

    return found


def env(shop: Workshop, name: str) -> None:
    """Print the environment as lines for the shell's eval."""
    _require(shop, name)
    for variable, value in environment(shop, engines.find(shop), name).items():
        print(f"export {variable}={shlex.quote(value)}")


def _require(shop: Workshop, name: str) -> None:
    """Raise ClusterError when there is no such cluster: kubectl would turn to the user's own instead."""
    if Choice.from_environment() is not Choice.KIND:
        return
    known = sorted(path.parent.name for path in shop.cache.root.glob("clusters/*/kubeconfig"))
    if name not in known:
        others = f"there are: {', '.join(known)} (NAME=…)" if known else "there is none"
        raise ClusterError(f"No cluster {name} is up; {others}. `make up` brings it up")


def show_status(shop: Workshop, name: str) -> None:
    """Print the cluster's workloads and newest jobs."""
    _require(shop, name)
    found = environment(shop, None, name)
    program = shutil.which("kubectl", path=found["PATH"]) or tools.kubectl(
        shop.terse(), home_made=False
    )
    kubeconfig = Path(found["KUBECONFIG"]) if "KUBECONFIG" in found else None
    # Helm is not used here.
    status.show(Client(Path(program), Path("helm"), kubeconfig))


def run(shop: Workshop, name: str, command: Sequence[str]) -> None:
    """Become that command, aimed at the cluster of that name."""
    _require(shop, name)
    execute(shop, name, command)


def execute(shop: Workshop, name: str, command: Sequence[str]) -> None:
    """Become that command, with the tools on PATH and the cluster in KUBECONFIG."""
    found = os.environ | environment(shop, engines.find(shop), name)
    os.environ["PATH"] = found["PATH"]
    os.execvpe(command[0], list(command), found)  # noqa: S606  # the user's own command


def uv(shop: Workshop, name: str, arguments: Sequence[str]) -> None:
    """Become the pinned uv."""
    execute(shop, name, [str(tool(shop, "uv")), *arguments])


def build_images(shop: Workshop) -> Images:
    """Have all images in the engine."""
    with shop.cache.shared(engines.IN_USE):
        engine = engines.ensure(shop)
        return images.ensure(shop, engine, home_made=registry.home_made(shop, engine))


def tool(shop: Workshop, name: str) -> Path:
    """Get one tool; its path. Says nothing unless there is something to do."""
    shop = shop.terse()
    match name:
        case "uv":
            return tools.uv(shop)
        case "kubectl":
            return tools.kubectl(shop, home_made=False)

    known = {
        known.name: known for known in (tools.KIND, tools.HELM, tools.HELM_3, tools.KUBECONFORM)
    }
    if name not in known:
        raise ClusterError(f"Unknown tool {name}; the tools are: uv, kubectl, {', '.join(known)}")

    return tools.get(shop, known[name])


def clean(shop: Workshop, name: str) -> None:
    """Take everything away: clusters, our engine with its data, and the cache."""
    for cluster in (name, TEST_CLUSTER):
        kind_down(shop, cluster)

    if engines.home(shop).process():
        raise ClusterError("Other containers run on this cache's Docker engine: stop them first")

    engines.unmount(shop)
    for path in shop.cache.root.iterdir():
        remove(path)

    shop.progress.say(f"✓ {shop.cache.root}: empty")
