"""Start and stop the Celery system's processes: Redis, the API and the workers."""

import contextlib
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_node_contract.clients.bucket_settings import BucketSettings

from bench.arena import Arena
from bench.celery_system.containers import Containers
from bench.celery_system.jobs import Jobs
from bench.celery_system.settings import Settings
from bench.errors import BenchError

HOST = "127.0.0.1"
WORKER_PROCESSES = 2
START_SECONDS = 30.0
STOP_SECONDS = 10.0

Command = Sequence[str]


@dataclass(frozen=True)
class Running:
    """The running system: its addresses, process ids by component, jobs and Python version."""

    url: str
    broker: str
    folder: Path
    """Folder for data, which the containers see at the same path."""
    processes: dict[str, int]
    jobs: Jobs
    python: str


@contextlib.contextmanager
def running(folder: Path, arena: Arena, bucket: BucketSettings) -> Iterator[Running]:
    """Run the system on the systems' cores while the block runs. Its data is in `folder`."""
    redis_port, api_port = free_port(), free_port()
    settings = Settings(folder, f"redis://{HOST}:{redis_port}/0", bucket)
    containers, url = Containers.of(arena, settings), f"http://{HOST}:{api_port}"
    redis = ["taskset", "--cpu-list", arena.cores.system_list, *_redis(redis_port, folder)]

    with contextlib.ExitStack() as stack:
        processes = {"redis": stack.enter_context(_process(redis, folder / "redis.log"))}
        _wait_for_port(redis_port, (folder / "redis.log").read_text)

        for name, module in (("api", _api(api_port)), ("workers", _workers())):
            processes[name] = stack.enter_context(containers.running(name, module))

        _wait_for_port(api_port, lambda: containers.log("api"))
        urllib.request.urlopen(f"{url}/unfinished", timeout=5).close()  # noqa: S310
        python = containers.python("workers")
        yield Running(url, settings.broker, folder, processes, Jobs(folder), python)


def _redis(port: int, folder: Path) -> Command:
    listen = ("--bind", HOST, "--port", str(port), "--dir", str(folder))
    # Redis writes neither snapshots nor a log of commands to disk.
    return ["redis-server", *listen, "--save", "", "--appendonly", "no"]


def _api(port: int) -> Command:
    program = ["uvicorn", "bench.celery_system.api:app"]
    listen = ["--host", HOST, "--port", str(port), "--no-access-log", "--log-level", "warning"]
    return [*program, *listen, "--loop", "uvloop", "--http", "httptools"]


def _workers() -> Command:
    program = ["celery", "--app", "bench.celery_system.tasks", "worker"]
    quiet = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    return [*program, "--concurrency", str(WORKER_PROCESSES), *quiet]


@contextlib.contextmanager
def _process(command: Command, log: Path) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)

    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_port(port: int, log: Callable[[], str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise BenchError(f"no server listens on port {port} after {START_SECONDS:g} s:\n{log()}")


def free_port() -> int:
    """Return a free TCP port on the loopback interface."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
