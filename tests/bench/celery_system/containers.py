"""Run the Celery system's Python programs in containers.

The image has the same base as vision-node's images, so that both systems use the same Python. The
machine's own Python can be a third slower. To avoid overhead, the containers use the machine's
network and disk, and their system calls are not filtered.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.arena import REPOSITORY, Arena
from bench.celery_system.settings import Settings
from cluster.artifacts import images, registry
from cluster.engine import Engine

DOCKERFILE_FOLDER = str(Path(__file__).parent.relative_to(REPOSITORY))
SOURCES = tuple(str(REPOSITORY / folder) for folder in ("tests", "crds", "describer"))

WITHOUT_OVERHEAD = (
    "--network=host",
    "--security-opt=seccomp=unconfined",
    f"--user={os.getuid()}:{os.getgid()}",
)


@dataclass(frozen=True)
class Containers:
    """The engine, image and options with which the containers are started."""

    engine: Engine
    image: str
    options: Sequence[str]

    @classmethod
    def of(cls, arena: Arena, settings: Settings) -> "Containers":
        """Build the image, and return options that restrict containers to the systems' cores."""
        ctx, engine = arena.kind.ctx, arena.kind.engine
        from_packages = registry.must_build_from_packages(ctx, engine)
        image = images.ensure_image(
            ctx, engine, DOCKERFILE_FOLDER, "bench-celery", from_packages=from_packages
        )

        environment = settings.to_env() | {"PYTHONPATH": os.pathsep.join(SOURCES)}
        options = [
            *(f"--cpuset-cpus={arena.cores.system_list}", *WITHOUT_OVERHEAD),
            *(f"--env={name}={value}" for name, value in environment.items()),
            *(f"--volume={source}:{source}:ro" for source in SOURCES),
            f"--volume={settings.data}:{settings.data}",
        ]

        return cls(engine, image, options)

    @contextlib.contextmanager
    def running(self, name: str, module: Sequence[str]) -> Iterator[int]:
        """Run `python -m <module>` while the block runs, and yield its process id."""
        # An earlier run that was killed may have left this container.
        self.engine.succeeds("rm", "--force", _named(name))
        self.engine.run(
            "run", "--detach", f"--name={_named(name)}", *self.options, self.image, *module
        )

        try:
            yield int(self.engine.output("inspect", "--format={{.State.Pid}}", _named(name)))
        finally:
            self.engine.succeeds("rm", "--force", _named(name))

    def python(self, name: str) -> str:
        """Return the version of Python in a running container."""
        return (
            self.engine.output("exec", _named(name), "python", "--version")
            .removeprefix("Python ")
            .strip()
        )

    def log(self, name: str) -> str:
        """Return the log of a running container."""
        command = [self.engine.client, "logs", _named(name)]
        done = subprocess.run(
            command,
            check=False,
            env=self.engine.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.stdout


def _named(name: str) -> str:
    return f"vision-node-bench-celery-{name}"
