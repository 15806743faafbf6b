"""Tests that `docker build` and Go produce the same image for the bundled store."""

import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

import cluster
from cluster.artifacts import archive, store_image
from cluster.artifacts.cache import Cache
from cluster.artifacts.images import ensure_store
from cluster.context import BuildContext
from cluster.engine import Engine
from cluster.run.progress import Progress

PARTS = Path(cluster.__file__).parent
REPOSITORY = PARTS.parent
SOURCE = REPOSITORY / store_image.FOLDER
DOCKERFILE = (SOURCE / "Dockerfile").read_text()

BUILD_SECONDS = 60
GO_SECONDS = 300
"""Time limit for `go test`. Its first run may have to compile Go's standard library."""


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """Fake inputs of both builds: the program, MinIO's Go module and the CA certificates."""
    module = tmp_path / "module"
    module.mkdir()
    for name in store_image.LICENSES:
        (module / name).write_text(name)

    program, bundle = tmp_path / "program", tmp_path / "ca-certificates.crt"
    program.write_text("binary")
    bundle.write_text("certificates")
    return {"program": program, "module": module, "bundle": bundle}


def test_both_builds_contain_the_same_files(inputs: dict[str, Path], tmp_path: Path) -> None:
    assert from_dockerfile(inputs, tmp_path) == from_go(inputs, tmp_path)


def from_go(inputs: dict[str, Path], tmp_path: Path) -> dict[str, str]:
    """Return the files of the image that is built with Go.

    Keys are paths, and values are the content of a file or the mode of an empty folder.
    """
    layer = tmp_path / "layer.tar"
    archive.pack_files(store_image.contents(source=SOURCE, **inputs), layer)
    found = {}

    with tarfile.open(layer) as tar:
        for member in tar:
            file = tar.extractfile(member)
            found[member.name] = file.read().decode() if file else oct(member.mode)

    return found


def from_dockerfile(inputs: dict[str, Path], tmp_path: Path) -> dict[str, str]:
    """Return the files of the image that the Dockerfile's commands build, as `from_go` does."""
    image, tools = tmp_path / "image", tmp_path / "tools"
    image.mkdir()
    tools.mkdir()
    shutil.copy(inputs["program"], image / "minio")
    (tools / "go").write_text(f"#!/bin/sh\necho {inputs['module']}\n")
    (tools / "go").chmod(0o755)

    subprocess.run(
        ["/bin/sh", "-ec", packing(image, inputs["bundle"])],
        check=True,
        timeout=BUILD_SECONDS,
        env={"PATH": f"{tools}:/usr/bin:/bin"},
    )
    files = {str(f.relative_to(image)): f.read_text() for f in image.rglob("*") if f.is_file()}
    empty = {
        folder.name: oct(folder.stat().st_mode & 0o7777)
        for folder in image.iterdir()
        if folder.is_dir() and not any(folder.iterdir())
    }

    return files | empty


def packing(image: Path, bundle: Path) -> str:
    """Return the Dockerfile's commands that assemble the image, adapted to local paths."""
    joined = DOCKERFILE.replace("\\\n", " ")
    (command,) = re.findall(r"^RUN (mkdir .*)$", joined, re.M)
    return (
        command.replace("/image", str(image))
        .replace(" /source ", f" {SOURCE} ")
        .replace(f" /{store_image.CA_BUNDLE}", f" {bundle}")
    )


def test_both_builds_have_same_user_entrypoint_and_labels() -> None:
    joined = DOCKERFILE.replace("\\\n", " ")
    labels = re.findall(r'(org\.opencontainers\.\S+?)="([^"]*)"', joined)
    (entrypoint,) = re.findall(r"^ENTRYPOINT (.*)$", joined, re.M)
    (user,) = re.findall(r"^USER (.*)$", joined, re.M)
    assert dict(labels) == dict(store_image.LABELS)
    assert tuple(json.loads(entrypoint)) == store_image.ENTRYPOINT
    assert user == store_image.USER


def test_store_image_contains_license_and_source(inputs: dict[str, Path]) -> None:
    found = store_image.contents(source=SOURCE, **inputs)
    assert "licenses/LICENSE" in found
    assert {
        "source/go.mod",
        "source/go.sum",
        "source/main.go",
        "source/guard/guard.go",
    } <= found.keys()


def test_chart_images_have_project_names_and_one_tag() -> None:
    values = yaml.safe_load((REPOSITORY / "charts/vision-node/values.yaml").read_text())
    names = {key: image.partition(":") for key, image in values["images"].items()}
    assert {key: name for key, (name, _, _) in names.items()} == {
        key: f"vision-node-{key}" for key in names
    }
    assert len({tag for _, _, tag in names.values()}) == 1


def test_readme_says_how_to_build_every_chart_image() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    values = yaml.safe_load((REPOSITORY / "charts/vision-node/values.yaml").read_text())
    missing = [key for key in values["images"] if f"--set images.{key}=" not in readme]
    assert not missing
    assert f"docker build {store_image.FOLDER} " in readme


@pytest.mark.skipif(not shutil.which("go"), reason="Go is not installed")
def test_guard_refuses_requests_that_reach_known_vulnerabilities() -> None:
    done = subprocess.run(
        ["go", "test", "./guard"],
        check=False,
        cwd=SOURCE,
        capture_output=True,
        text=True,
        timeout=GO_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr


DOCKER = """#!/bin/sh
echo "$@" >> {log}
case "$1 $2" in
"image inspect") grep -q -- "^build .*--tag $3 " {log} ;;
esac
"""
"""A fake docker client that logs its arguments. Images exist once it has built them."""


def test_store_image_is_built_once_by_docker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "https://user:secret@example.test")
    client, log = tmp_path / "docker", tmp_path / "requests"
    client.write_text(DOCKER.format(log=log))
    client.chmod(0o755)
    cache = Cache(tmp_path / "cache")
    ctx = BuildContext(REPOSITORY, cache, Progress(cache.logs, io.StringIO()))

    names = {ensure_store(ctx, Engine(str(client), {}), from_packages=False) for _ in range(2)}
    (name,) = names
    (build,) = [line for line in log.read_text().splitlines() if line.startswith("build ")]
    assert name.startswith("vision-node-minio:")
    assert build.endswith(f"--tag {name} {SOURCE}")
    assert "--build-arg=GOPROXY " in build
