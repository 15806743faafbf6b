"""The classic design's Python programs in containers, on the base of vision-node's own images.

With this base, both systems have the same Python; the machine's own may be a third slower. The
containers use the machine's network and disk, and their system calls are not filtered, so that the
containers add no overhead.
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

AS_A_PROCESS = (
    "--network=host",
    "--security-opt=seccomp=unconfined",
    f"--user={os.getuid()}:{os.getgid()}",
)


@dataclass(frozen=True)
class Containers:
    """How the containers are started."""

    engine: Engine
    image: str
    options: Sequence[str]

    @classmethod
    def of(cls, arena: Arena, settings: Settings) -> "Containers":
        """Build the image in the cluster's engine. Its containers use only the systems' cores."""
        ctx, engine = arena.kind.ctx, arena.kind.engine
        from_packages = registry.must_build_from_packages(ctx, engine)
        image = images.ensure_image(
            ctx, engine, DOCKERFILE_FOLDER, "bench-celery", from_packages=from_packages
        )

        environment = settings.to_env() | {"PYTHONPATH": os.pathsep.join(SOURCES)}
        options = [
            *(f"--cpuset-cpus={arena.cores.system_list}", *AS_A_PROCESS),
            *(f"--env={name}={value}" for name, value in environment.items()),
            *(f"--volume={source}:{source}:ro" for source in SOURCES),
            f"--volume={settings.data}:{settings.data}",
        ]

        return cls(engine, image, options)

    @contextlib.contextmanager
    def running(self, name: str, module: Sequence[str]) -> Iterator[int]:
        """Run `python -m <module>` while the block runs, and yield its process id."""
        # The container may be left over from an earlier run that was killed.
        self.engine.succeeds("rm", "--force", _named(name))
        self.engine.run(
            "run", "--detach", f"--name={_named(name)}", *self.options, self.image, *module
        )

        try:
            yield int(self.engine.output("inspect", "--format={{.State.Pid}}", _named(name)))
        finally:
            self.engine.succeeds("rm", "--force", _named(name))

    def python(self, name: str) -> str:
        """Return the Python version in a running container."""
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
