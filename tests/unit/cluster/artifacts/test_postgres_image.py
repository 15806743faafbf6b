"""Tests that `docker build` and mmdebstrap produce the same image of PostgreSQL."""

import io
import json
import re
from pathlib import Path

import cluster
from cluster import versions
from cluster.artifacts import debian, postgres_image
from cluster.artifacts.cache import Cache
from cluster.artifacts.images import ensure_database
from cluster.context import BuildContext
from cluster.engine import Engine
from cluster.run.progress import Progress

REPOSITORY = Path(cluster.__file__).parent.parent
FOLDER = REPOSITORY / postgres_image.FOLDER
DOCKERFILE = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")


def instructions(name: str) -> list[str]:
    """Return the arguments of an instruction of the Dockerfile, with single spaces."""
    found = re.findall(rf"^{name} (.*)$", DOCKERFILE, re.M)
    return [" ".join(arguments.split()) for arguments in found]


def test_both_builds_have_the_same_release_of_debian_and_packages() -> None:
    assert f"BASE_IMAGE=debian:{versions.DEBIAN_OF_POSTGRES}-slim" in instructions("ARG")
    (install,) = [run for run in instructions("RUN") if "apt-get install" in run]
    options, _, packages = install.partition("--no-install-recommends ")
    assert tuple(packages.partition(" && ")[0].split()) == postgres_image.PACKAGES
    assert postgres_image.NO_CLUSTER.format(root="") in options


def test_both_builds_remove_the_same_files() -> None:
    (install,) = [run for run in instructions("RUN") if "apt-get install" in run]
    assert "COPY slim /tmp/slim" in DOCKERFILE
    assert "&& sh /tmp/slim &&" in install

    script = (FOLDER / "slim").read_text().replace("'", "'\"'\"'")
    hooks = postgres_image.root_file_system(FOLDER).hooks
    assert f"--customize-hook=chroot \"$1\" sh -ec '{script}'" in hooks


def test_both_builds_add_the_same_files() -> None:
    copied = {}
    for arguments in instructions("COPY")[1:3]:
        *names, target = arguments.split()
        for name in names:
            copied[f"{target}{name}" if target.endswith("/") else target] = name

    contents = postgres_image.contents(FOLDER)
    assert {path.lstrip("/"): FOLDER / name for path, name in copied.items()} == contents
    assert {file.name for file in FOLDER.iterdir()} == {*copied.values(), "slim", "Dockerfile"}


def test_both_builds_have_the_same_configuration() -> None:
    labels = re.findall(r'(org\.opencontainers\.\S+?)="([^"]*)"', DOCKERFILE)
    (environment,) = instructions("ENV")
    assert dict(labels) == dict(postgres_image.LABELS)
    assert tuple(environment.replace('"', "").split()) == postgres_image.ENVIRONMENT
    assert instructions("USER") == [postgres_image.USER]
    assert instructions("STOPSIGNAL") == [postgres_image.STOP_SIGNAL]
    assert tuple(json.loads(instructions("ENTRYPOINT")[0])) == postgres_image.ENTRYPOINT


def test_key_of_the_root_file_system_depends_on_its_hooks() -> None:
    wanted = postgres_image.root_file_system(FOLDER)
    without = debian.RootFileSystem(wanted.name, wanted.release, wanted.variant, wanted.packages)
    assert debian.root_key(wanted) != debian.root_key(without)


DOCKER = """#!/bin/sh
echo "$@" >> {log}
case "$1 $2" in
"image inspect") grep -q -- "^build .*--tag $3 " {log} ;;
esac
"""
"""A fake docker client that logs its arguments. Images exist once it has built them."""


def test_database_image_is_built_once_by_docker(tmp_path: Path) -> None:
    client, log = tmp_path / "docker", tmp_path / "requests"
    client.write_text(DOCKER.format(log=log))
    client.chmod(0o755)
    cache = Cache(tmp_path / "cache")
    ctx = BuildContext(REPOSITORY, cache, Progress(cache.logs, io.StringIO()))

    engine = Engine(str(client), {})
    names = {ensure_database(ctx, engine, from_packages=False) for _ in range(2)}
    (name,) = names
    (build,) = [line for line in log.read_text().splitlines() if line.startswith("build ")]
    assert name.startswith("vision-node-postgres:")
    assert build.endswith(f"--tag {name} {FOLDER}")
