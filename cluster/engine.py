"""The Docker engine: the one that runs already, or one of our own from Debian's packages."""

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
from cluster.context import Workshop
from cluster.errors import ClusterError
from cluster.run import shell

# Debian's package for each program that the engine needs.
PACKAGES: Mapping[str, str] = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
}

ANSWER_SECONDS = 10.0
START_SECONDS = 60.0
# An engine stops its containers first, and systemd in a node takes its time.
STOP_SECONDS = 40.0

# Unix sockets' paths end at 107 bytes, and containerd appends to the directory that we choose.
LONGEST_ROOT = 70

# Bit of CAP_SYS_RESOURCE in the masks of /proc/self/status.
CAP_SYS_RESOURCE = 24

GET_DOCKER = (
    "Start Docker, or install it: https://docs.docker.com/get-started/get-docker/. If it runs but refuses "
    "you access: https://docs.docker.com/engine/install/linux-postinstall/. Without Docker, this works only "
    "as root on Debian or Ubuntu."
)

# Runs that need the engine share this lock of the cache.
IN_USE = "engine"

KIND_NETWORK = "kind"

# Of each repository: going back to another branch is quick, and the disk does not fill up.
KEPT_IMAGES = 2

NODE_LABEL = "io.x-k8s.kind.cluster"


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers, and how to call it."""

    client: str
    variables: Mapping[str, str]
    """What `docker` and kind need in their environment to find it; empty for the user's own."""

    @property
    def is_ours(self) -> bool:
        """Whether this package started it."""
        return bool(self.variables)

    @property
    def env(self) -> dict[str, str]:
        """The environment for `docker` and kind."""
        return os.environ | self.variables

    def run(self, *arguments: shell.Argument) -> None:
        """Run a `docker` command; its output goes into the step's log."""
        shell.run([self.client, *arguments], env=self.env)

    def output(self, *arguments: shell.Argument) -> str:
        """What a `docker` command prints."""
        return shell.output([self.client, *arguments], env=self.env)

    def works(self, *arguments: shell.Argument, timeout_seconds: float | None = None) -> bool:
        """Whether a `docker` command ends well, in time."""
        command = [self.client, *arguments]
        return shell.works(command, env=self.env, timeout_seconds=timeout_seconds)

    def has_image(self, name: str) -> bool:
        """Whether the engine holds an image of that name."""
        return self.works("image", "inspect", name)

    def prune(self, keep: str) -> None:
        """Drop old images of the repository of `keep`; Docker lists the newest first."""
        repository = keep.partition(":")[0]
        listed = self.output("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository)
        # One may still run in another cluster: the engine then says no, and that is fine.
        for old in [name for name in listed.split() if name != keep][KEPT_IMAGES - 1 :]:
            self.works("image", "rm", old)

    def load(self, archive: Path) -> None:
        """Load an archive of images, compressed with zstd or not."""
        unpack = ("zstd", "-dc") if archive.suffix == ".zst" else ("cat",)
        shell.pipe([*unpack, archive], [self.client, "load"], env=self.env)


USERS = Engine("docker", {})
"""The user's engine, as `docker` finds it: by DOCKER_HOST, Docker Desktop's context or the usual
socket."""


@dataclass(frozen=True)
class Home:
    """Where our own engine lives, below the cache."""

    root: Path

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.root / "docker.sock"

    @property
    def pid_file(self) -> Path:
        """The daemon's own."""
        return self.root / "pid"

    @property
    def log(self) -> Path:
        """What the daemon says."""
        return self.root / "dockerd.log"

    @property
    def runtime(self) -> Path:
        """The wrapper around runc, where a capability is missing."""
        return self.root / "runc-without-sys-resource"

    def engine(self) -> Engine:
        """How to call it, whether it runs or not."""
        # Debian's client speaks the same version as Debian's engine; a newer one may not.
        client = shutil.which("docker", path="/usr/bin") or "docker"
        # kind calls the first `docker` on PATH.
        path = os.pathsep.join([str(Path(client).parent), os.environ.get("PATH", "")])
        return Engine(client, {"DOCKER_HOST": f"unix://{self.socket}", "PATH": path})

    def process(self) -> int | None:
        """The running daemon's process id; None when there is none."""
        try:
            pid = int(self.pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        except (OSError, ValueError):
            return None
        # The id of a daemon that died may by now be another program's.
        return pid if str(self.root / "data") in command else None


def home(shop: Workshop) -> Home:
    """The place of this cache's own engine."""
    return Home(shop.cache.root / "engine")


def find(shop: Workshop) -> Engine | None:
    """The engine that answers: the user's, or ours if it runs."""
    ours = home(shop).engine()
    if os.environ.get("DOCKER_HOST") != ours.variables["DOCKER_HOST"] and answers(USERS):
        return USERS
    return ours if home(shop).process() and answers(ours) else None


def answers(engine: Engine) -> bool:
    """Whether the engine's daemon is there."""
    return not silence(engine)


def silence(engine: Engine) -> str:
    """Return why the engine's daemon does not answer, in the words of `docker`; "" if it does."""
    question = (engine.client, "version", "--format", "{{.Server.Version}}")
    try:
        shell.output(question, env=engine.env, timeout_seconds=ANSWER_SECONDS)
    except ClusterError as error:
        return str(error)
    return ""


def ensure(shop: Workshop) -> Engine:
    """An engine that answers; starts one of our own where none does."""
    if found := find(shop):
        return found
    if platform.system() != "Linux" or not debian.may_install():
        raise ClusterError(f"No Docker engine answers: {silence(USERS)}\n{GET_DOCKER}")

    debian.install(shop, PACKAGES, GET_DOCKER)
    with shop.cache.locked("engine-start", shop.progress.say):
        if found := find(shop):
            return found
        with shop.progress.step("Docker engine", outcome="started"):
            return _start(home(shop), shop.parts / "runc-without-sys-resource")


def _start(place: Home, runtime: Path) -> Engine:
    if len(str(place.root)) > LONGEST_ROOT:
        raise ClusterError(
            f"{place.root} is too long a path for Unix sockets: set VISION_NODE_CACHE to a shorter one"
        )

    place.root.mkdir(parents=True, exist_ok=True)
    _terminate(place)
    # A new daemon takes the file of one that was killed for a sign that it runs.
    place.pid_file.unlink(missing_ok=True)
    # The engine outlives this checkout, so it gets a copy.
    shutil.copy(runtime, place.runtime)

    with place.log.open("ab") as log:
        # A session of its own, so that it outlives the `make` that started it.
        daemon = subprocess.Popen(
            _command(place),
            cwd=place.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    engine = place.engine()
    _await(place, engine, daemon)
    _drop_nodes(engine)
    return engine


def _await(place: Home, engine: Engine, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(engine):
        if daemon.poll() is not None or time.monotonic() > deadline:
            said = f"{shell.tail(place.log)}\nThe whole log: {place.log}"
            raise ClusterError(f"The Docker engine did not start:\n{said}")
        time.sleep(0.1)


def _command(place: Home) -> list[str]:
    """How dockerd starts; with as many open files as this process may have."""
    command = [
        *("sh", "-c", 'ulimit -n "$(ulimit -Hn)"; exec dockerd "$@"', "dockerd"),
        *("--data-root", str(place.root / "data"), "--exec-root", str(place.root / "run")),
        *("--pidfile", str(place.pid_file), "--host", f"unix://{place.socket}"),
        *("--storage-driver", "overlay2"),
    ]

    if not has_capability(Path("/proc/self/status").read_text(), CAP_SYS_RESOURCE):
        # Neither may the daemon then lower its own score for the kernel's out-of-memory killer.
        command += ["--oom-score-adjust", "0"]
        command += ["--add-runtime", f"nocap={place.runtime}", "--default-runtime", "nocap"]

    return command


def has_capability(status: str, bit: int) -> bool:
    """Whether a process whose /proc status this is may hand that capability on."""
    masks = [line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")]
    return bool(masks) and bool(int(masks[0], 16) >> bit & 1)


def _drop_nodes(engine: Engine) -> None:
    """Delete the nodes of an engine that just started.

    They come from one that was killed, and do not survive that: their network namespaces are stale.
    """
    nodes = engine.output("ps", "--all", "--quiet", "--filter", f"label={NODE_LABEL}").split()
    if nodes:
        engine.run("rm", "--force", "--volumes", *nodes)


def stop(shop: Workshop) -> None:
    """Stop our own engine, unless containers run on it or other runs need it."""
    place = home(shop)
    engine = place.engine()
    with shop.cache.alone(IN_USE) as unused:
        if not unused or not place.process():
            return
        if answers(engine) and engine.output("ps", "--quiet").split():
            return
        with shop.progress.step("Docker engine", outcome="stopped"):
            _remove_network(engine)
            _terminate(place)


def _remove_network(engine: Engine) -> None:
    """Remove kind's network, unless a container still has it; kind creates it again.

    It has the same IPv6 addresses in every engine, and a daemon that ends leaves its bridge behind.
    That bridge would take the packets for the network of another engine on this machine.
    """
    used = ("ps", "--all", "--quiet", "--filter", f"network={KIND_NETWORK}")
    if answers(engine) and not engine.output(*used).split():
        engine.works("network", "rm", KIND_NETWORK, timeout_seconds=ANSWER_SECONDS)


def unmount(shop: Workshop) -> None:
    """Take away what a stopped engine left mounted, so that its files can be deleted."""
    root = str(home(shop).root)
    mounts = Path("/proc/self/mounts")
    points = (
        [line.split()[1] for line in mounts.read_text().splitlines()] if mounts.exists() else []
    )

    # The deepest first.
    for point in sorted((point for point in points if point.startswith(f"{root}/")), reverse=True):
        # Containers of another engine may hold a copy of the mount.
        shell.run(["umount", "--lazy", point])


def _terminate(place: Home) -> None:
    """End our daemon if it runs: politely, and after a while not so."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        pid = place.process()
        if pid is None:
            return
        os.kill(pid, sign)
        deadline = time.monotonic() + STOP_SECONDS
        while place.process() and time.monotonic() < deadline:
            time.sleep(0.1)
