"""Find the user's Docker engine, or install one from Debian's packages and start it."""

import os
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.artifacts import debian
from cluster.context import BuildContext
from cluster.errors import ClusterError
from cluster.run import shell

# The Debian package of each program that the engine needs.
PACKAGES: Mapping[str, str] = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
}

ANSWER_SECONDS = 10.0
START_SECONDS = 60.0
# How long to wait for an engine to stop. It stops its containers first, and systemd in a node takes
# a long time to stop.
STOP_SECONDS = 40.0

# Maximum length of the path of the engine's directory. The path of a Unix socket can have at most
# 107 bytes, and containerd puts sockets into subdirectories.
MAX_ROOT_LENGTH = 70

# Bit of CAP_SYS_RESOURCE in the masks of /proc/self/status.
CAP_SYS_RESOURCE = 24

GET_DOCKER = (
    "Start Docker, or install it: https://docs.docker.com/get-started/get-docker/. If it is "
    "running but denies you access, see https://docs.docker.com/engine/install/linux-postinstall/. "
    "Without Docker, this works only as root on Debian or Ubuntu."
)

# Name of the lock in the cache that runs share while they need the engine.
IN_USE = "engine"

KIND_NETWORK = "kind"

# Number of images to keep per repository. With two, switching between two branches is quick, and
# old images do not fill the disk.
KEPT_IMAGES = 2

NODE_LABEL = "io.x-k8s.kind.cluster"


@dataclass(frozen=True)
class Engine:
    """A Docker engine and how to call it."""

    client: str
    variables: Mapping[str, str]
    """The environment variables that lead `docker` and kind to it; empty for the user's engine."""

    @property
    def is_ours(self) -> bool:
        """Whether this package started the engine."""
        return bool(self.variables)

    @property
    def env(self) -> dict[str, str]:
        """The environment for `docker` and kind."""
        return os.environ | self.variables

    def run(self, *arguments: shell.Argument) -> None:
        """Run a `docker` command. Its output goes to the step's log."""
        shell.run([self.client, *arguments], env=self.env)

    def output(self, *arguments: shell.Argument) -> str:
        """Return the output of a `docker` command. Raises ClusterError if it fails."""
        return shell.output([self.client, *arguments], env=self.env)

    def succeeds(self, *arguments: shell.Argument, timeout_seconds: float | None = None) -> bool:
        """Return whether a `docker` command succeeds in time."""
        command = [self.client, *arguments]
        return shell.succeeds(command, env=self.env, timeout_seconds=timeout_seconds)

    def has_image(self, name: str) -> bool:
        """Return whether the engine has an image with this name."""
        return self.succeeds("image", "inspect", name)

    def prune(self, keep: str) -> None:
        """Delete old images from the repository of the image `keep`, but keep the newest ones."""
        repository = keep.partition(":")[0]
        listed = self.output("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository)
        # Docker lists the newest first. Failures are ignored, because Docker refuses to delete an
        # image that another cluster uses.
        for old in [name for name in listed.split() if name != keep][KEPT_IMAGES - 1 :]:
            self.succeeds("image", "rm", old)

    def load(self, archive: Path) -> None:
        """Load an archive of images, which may be compressed with zstd."""
        unpack = ("zstd", "-dc") if archive.suffix == ".zst" else ("cat",)
        shell.pipe([*unpack, archive], [self.client, "load"], env=self.env)


USER_ENGINE = Engine("docker", {})
"""The engine that the user's `docker` finds through DOCKER_HOST, the current Docker context or the
default socket."""


@dataclass(frozen=True)
class EngineDirectory:
    """The directory in the cache for the engine that this package starts."""

    root: Path

    @property
    def socket(self) -> Path:
        """The socket on which the engine listens."""
        return self.root / "docker.sock"

    @property
    def pid_file(self) -> Path:
        """The file to which the daemon writes its process id."""
        return self.root / "pid"

    @property
    def log(self) -> Path:
        """The daemon's log."""
        return self.root / "dockerd.log"

    @property
    def runtime(self) -> Path:
        """The wrapper around runc for machines that lack a capability."""
        return self.root / "runc-without-sys-resource"

    def engine(self) -> Engine:
        """Return the directory's engine, whether it is running or not."""
        # Debian's client can talk to Debian's engine. A newer client may need a newer engine.
        client = shutil.which("docker", path="/usr/bin") or "docker"
        # kind calls the first `docker` on PATH.
        path = os.pathsep.join([str(Path(client).parent), os.environ.get("PATH", "")])
        return Engine(client, {"DOCKER_HOST": f"unix://{self.socket}", "PATH": path})

    def process(self) -> int | None:
        """Return the process id of the running daemon; None if there is none."""
        try:
            pid = int(self.pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        except (OSError, ValueError):
            return None
        # If the daemon died, another program may now have its process id.
        return pid if str(self.root / "data") in command else None


def engine_directory(ctx: BuildContext) -> EngineDirectory:
    """Return the directory of this cache's engine."""
    return EngineDirectory(ctx.cache.root / "engine")


def find(ctx: BuildContext) -> Engine | None:
    """Return the engine that answers: the user's, or else this cache's; None if neither does."""
    ours = engine_directory(ctx).engine()
    if os.environ.get("DOCKER_HOST") != ours.variables["DOCKER_HOST"] and is_reachable(USER_ENGINE):
        return USER_ENGINE
    return ours if engine_directory(ctx).process() and is_reachable(ours) else None


def is_reachable(engine: Engine) -> bool:
    """Return whether the engine's daemon answers."""
    return not connection_error(engine)


def connection_error(engine: Engine) -> str:
    """Return the error of `docker` if the engine's daemon does not answer; "" if it does."""
    command = (engine.client, "version", "--format", "{{.Server.Version}}")
    try:
        shell.output(command, env=engine.env, timeout_seconds=ANSWER_SECONDS)
    except ClusterError as error:
        return str(error)
    return ""


def ensure(ctx: BuildContext) -> Engine:
    """Return an engine that answers; install and start one if none does."""
    if found := find(ctx):
        return found

    if platform.system() != "Linux" or not debian.may_install():
        raise ClusterError(
            f"No Docker engine answers: {connection_error(USER_ENGINE)}\n{GET_DOCKER}"
        )

    debian.install(ctx, PACKAGES, GET_DOCKER)
    with ctx.cache.locked("engine-start", ctx.progress.say):
        if found := find(ctx):
            return found
        with ctx.progress.step("Docker engine", outcome="started"):
            return _start(engine_directory(ctx), ctx.package_folder / "runc-without-sys-resource")


def _start(directory: EngineDirectory, runtime: Path) -> Engine:
    if len(str(directory.root)) > MAX_ROOT_LENGTH:
        raise ClusterError(
            f"{directory.root} is too long for the paths of Unix sockets: "
            "set VISION_NODE_CACHE to a shorter path"
        )

    directory.root.mkdir(parents=True, exist_ok=True)
    _terminate(directory)
    # A killed daemon leaves this file behind, and a new daemon would conclude that the old one is
    # still running.
    directory.pid_file.unlink(missing_ok=True)
    # The engine gets a copy, because it may outlive this checkout.
    shutil.copy(runtime, directory.runtime)

    with directory.log.open("ab") as log:
        # The daemon has its own session, so that it outlives the `make` that started it.
        daemon = subprocess.Popen(
            _command(directory),
            cwd=directory.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    engine = directory.engine()
    _wait_until_ready(directory, engine, daemon)
    _delete_stale_nodes(engine)
    return engine


def _wait_until_ready(
    directory: EngineDirectory, engine: Engine, daemon: subprocess.Popen[bytes]
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_reachable(engine):
        if daemon.poll() is not None or time.monotonic() > deadline:
            log_tail = f"{shell.tail(directory.log)}\nThe whole log: {directory.log}"
            raise ClusterError(f"The Docker engine did not start:\n{log_tail}")

        time.sleep(0.1)


def _command(directory: EngineDirectory) -> list[str]:
    """Return the command that starts dockerd, with this process's hard limit on open files."""
    command = [
        *("sh", "-c", 'ulimit -n "$(ulimit -Hn)"; exec dockerd "$@"', "dockerd"),
        *("--data-root", str(directory.root / "data"), "--exec-root", str(directory.root / "run")),
        *("--pidfile", str(directory.pid_file), "--host", f"unix://{directory.socket}"),
        *("--storage-driver", "overlay2"),
    ]

    if not has_capability(Path("/proc/self/status").read_text(), CAP_SYS_RESOURCE):
        # Without the capability, the daemon can't lower its own out-of-memory score either.
        command += ["--oom-score-adjust", "0"]
        command += ["--add-runtime", f"nocap={directory.runtime}", "--default-runtime", "nocap"]

    return command


def has_capability(status: str, bit: int) -> bool:
    """Return whether a process with this /proc/…/status can give the capability to its children."""
    masks = [line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")]
    return bool(masks) and bool(int(masks[0], 16) >> bit & 1)


def _delete_stale_nodes(engine: Engine) -> None:
    """Delete kind nodes that already exist when an engine starts.

    They are left over from an engine that was killed, and their network namespaces are stale.
    """
    nodes = engine.output("ps", "--all", "--quiet", "--filter", f"label={NODE_LABEL}").split()
    if nodes:
        engine.run("rm", "--force", "--volumes", *nodes)


def stop(ctx: BuildContext) -> None:
    """Stop this cache's engine, unless containers run on it or other runs need it."""
    directory = engine_directory(ctx)
    engine = directory.engine()

    with ctx.cache.alone(IN_USE) as unused:
        if not unused or not directory.process():
            return
        if is_reachable(engine) and engine.output("ps", "--quiet").split():
            return

        with ctx.progress.step("Docker engine", outcome="stopped"):
            _remove_network(engine)
            _terminate(directory)


def _remove_network(engine: Engine) -> None:
    """Remove kind's network, unless a container uses it. When necessary, kind creates it again.

    The network has the same IPv6 addresses in every engine, and a daemon that stops leaves the
    network's bridge behind. The bridge would then receive packets that are meant for the network of
    another engine on this machine.
    """
    used = ("ps", "--all", "--quiet", "--filter", f"network={KIND_NETWORK}")
    if is_reachable(engine) and not engine.output(*used).split():
        engine.succeeds("network", "rm", KIND_NETWORK, timeout_seconds=ANSWER_SECONDS)


def unmount(ctx: BuildContext) -> None:
    """Unmount the file systems that a stopped engine left mounted, so that they can be deleted."""
    root = str(engine_directory(ctx).root)
    mounts = Path("/proc/self/mounts")
    points = (
        [line.split()[1] for line in mounts.read_text().splitlines()] if mounts.exists() else []
    )

    # Nested mounts are unmounted first.
    for point in sorted((point for point in points if point.startswith(f"{root}/")), reverse=True):
        # The option --lazy is necessary, because containers of another engine may use the mount.
        shell.run(["umount", "--lazy", point])


def _terminate(directory: EngineDirectory) -> None:
    """Stop this cache's daemon if it is running: with SIGTERM, and with SIGKILL if that fails."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        pid = directory.process()
        if pid is None:
            return

        os.kill(pid, signal_number)
        deadline = time.monotonic() + STOP_SECONDS
        while directory.process() and time.monotonic() < deadline:
            time.sleep(0.1)
