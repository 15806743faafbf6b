"""Tests of the image keys, the image archives and the arguments of `docker build`."""

import hashlib
import io
import json
import tarfile
import tomllib
from pathlib import Path

import pytest

import cluster
from cluster.artifacts import archive
from cluster.artifacts import images as image_builds
from cluster.artifacts.cache import Cache
from cluster.artifacts.images import (
    COMPONENTS,
    MEMBERS,
    Images,
    build_arguments,
    image_key,
    wanted_extras,
)
from cluster.context import BuildContext
from cluster.engine import Engine
from cluster.errors import ClusterError
from cluster.run.progress import Progress

REPOSITORY = Path(cluster.__file__).parent.parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with three components."""
    for name, text in {
        "api/Dockerfile": "FROM scratch",
        "api/pyproject.toml": "",
        "api/vision_node_api/main.py": "",
        "describer/Dockerfile": "FROM scratch",
        "describer/local-models/model.onnx": "",
        "describer/local-models/pyproject.toml": "",
        "operator/Dockerfile": "FROM scratch",
        "operator/pyproject.toml": "",
        "operator/main.py": "",
        "crds/imagejobs.yaml": "",
        "uv.lock": "",
        "pyproject.toml": "",
        "README.md": "",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return tmp_path


@pytest.mark.parametrize(
    "changed",
    [
        "api/vision_node_api/main.py",
        "api/Dockerfile",
        "crds/imagejobs.yaml",
        "uv.lock",
        "operator/pyproject.toml",
        "describer/local-models/pyproject.toml",
    ],
)
def test_image_key_changes_with_its_inputs(checkout: Path, changed: str) -> None:
    before = image_key(checkout, "api", "base")
    (checkout / changed).write_text("changed")
    assert image_key(checkout, "api", "base") != before


@pytest.mark.parametrize(
    "changed", ["operator/main.py", "README.md", "describer/local-models/model.onnx"]
)
def test_image_key_ignores_other_components(checkout: Path, changed: str) -> None:
    before = image_key(checkout, "api", "base")
    (checkout / changed).write_text("changed")
    assert image_key(checkout, "api", "base") == before


def test_image_key_of_the_describer_changes_with_its_models(checkout: Path) -> None:
    before = image_key(checkout, "describer", "base")
    (checkout / "describer/local-models/model.onnx").write_text("changed")
    assert image_key(checkout, "describer", "base") != before


@pytest.mark.parametrize("component", COMPONENTS)
def test_dockerfile_copies_every_member_of_the_workspace(component: str) -> None:
    root = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    members = root["tool"]["uv"]["workspace"]["members"]
    dockerfile = (REPOSITORY / component / "Dockerfile").read_text().splitlines()

    for member in members:
        assert f"COPY {member}/pyproject.toml {member}/" in dockerfile
    found = {file for pattern in MEMBERS for file in REPOSITORY.glob(pattern)}
    assert found == {REPOSITORY / member / "pyproject.toml" for member in members}


def test_image_key_depends_on_base_image(checkout: Path) -> None:
    assert image_key(checkout, "api", "one") != image_key(checkout, "api", "two")


def test_missing_dockerfile_is_reported(checkout: Path) -> None:
    (checkout / "describer/Dockerfile").unlink()
    with pytest.raises(ClusterError, match="describer/Dockerfile"):
        image_key(checkout, "describer", "base")


def test_extras_are_built_if_requested() -> None:
    assert wanted_extras({}) == frozenset()
    assert wanted_extras({"EXTRAS": " ocr  cloud "}) == {"ocr", "cloud"}
    with pytest.raises(ClusterError, match="there is no clod; choose from cloud, ocr"):
        wanted_extras({"EXTRAS": "clod"})


def test_cloud_image_is_delivered_but_is_not_in_the_value_images() -> None:
    images = Images(
        "api:1", "operator:1", "describer:1", "minio:1", "postgres:1", "describer-cloud:1"
    )
    assert images.all[-1] == "describer-cloud:1"
    assert images.values.keys() == {"api", "operator", "describer", "minio", "postgres"}
    assert images.renamed("registry/".__add__).cloud == "registry/describer-cloud:1"


DOCKER = """#!/bin/sh
case "$1 $2" in
  "image inspect") exit 1 ;;
  build*) echo "$*" >> {builds} ;;
esac
"""
"""A `docker` that has no image and records its builds."""


@pytest.mark.parametrize(
    ("extras", "built", "noted"),
    [("", False, False), ("ocr", False, True), ("cloud", True, False), ("ocr cloud", True, True)],
)
def test_make_up_builds_only_the_cloud_image_in_addition_to_the_standard_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extras: str, *, built: bool, noted: bool
) -> None:
    monkeypatch.setenv("EXTRAS", extras)
    output = io.StringIO()
    ctx = BuildContext(REPOSITORY, Cache(tmp_path), Progress(tmp_path, output))
    docker, recorded = tmp_path / "docker", tmp_path / "builds"
    docker.write_text(DOCKER.format(builds=recorded))
    docker.chmod(0o755)

    images = image_builds.ensure(ctx, Engine(str(docker), {}), from_packages=False)

    builds = recorded.read_text().splitlines()
    cloud = [build for build in builds if "--build-arg=EXTRAS=google rekognition" in build]
    assert len(cloud) == bool(images.cloud) == built
    assert ("vision-node-describer-cloud:" in images.cloud) is built
    assert ("part of the standard image" in output.getvalue()) is noted
    assert len(builds) == 5 + built


def test_layer_contains_files_links_and_folders(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("binary")
    archive.pack_files({"/bin/tool": program, "bin/alias": "tool", "tmp": None}, tmp_path / "layer")
    with tarfile.open(tmp_path / "layer") as tar:
        assert tar.getmember("bin/tool").mode == 0o755
        assert tar.getmember("bin/alias").linkname == "tool"
        assert tar.getmember("tmp").mode == 0o1777


def test_archive_identifies_layers_by_digest(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    archive.pack_files({"tmp": None}, layer)
    image = archive.Image(("one:1", "two:1"), (layer,), ("/run",), ("A=b",))
    archive.write([image], tmp_path / "archive.tar")
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()

    with tarfile.open(tmp_path / "archive.tar") as tar:
        manifest = json.loads(_read(tar, "manifest.json"))[0]
        configuration = json.loads(_read(tar, manifest["Config"]))
        assert _read(tar, manifest["Layers"][0]) == layer.read_bytes()

    assert manifest["RepoTags"] == ["one:1", "two:1"]
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{digest}"]
    assert configuration["config"] == {"Entrypoint": ["/run"], "Env": ["A=b"]}


def test_archive_configuration_has_labels_user_and_stop_signal(tmp_path: Path) -> None:
    image = archive.Image(
        ("one:1",), (), ("/run",), user="10001:10001", labels=(("a", "b"),), stop_signal="SIGINT"
    )
    archive.write([image], tmp_path / "archive.tar")
    with tarfile.open(tmp_path / "archive.tar") as tar:
        manifest = json.loads(_read(tar, "manifest.json"))[0]
        configuration = json.loads(_read(tar, manifest["Config"]))

    assert (configuration["config"]["User"], configuration["config"]["Labels"]) == (
        "10001:10001",
        {"a": "b"},
    )
    assert configuration["config"]["StopSignal"] == "SIGINT"


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


IMAGES = Images(
    "vision-node-api:1",
    "vision-node-operator:2",
    "vision-node-describer:3",
    "minio:4",
    "postgres:5",
)


def test_build_arguments_are_passed_by_name_without_values() -> None:
    environment = {"PIP_INDEX_URL": "https://user:secret@example.test", "HOME": "/root"}
    arguments = build_arguments(environment, base="", host_network=False)
    assert arguments == ["--build-arg=PIP_INDEX_URL"]


def test_base_image_from_packages_replaces_dockerfile_default() -> None:
    arguments = build_arguments({}, base="vision-node-python:1", host_network=True)
    assert arguments == ["--build-arg=BASE_IMAGE=vision-node-python:1", "--network=host"]


def test_pushed_images_are_renamed() -> None:
    assert IMAGES.renamed(lambda name: f"ghcr.io/me/{name}").api == "ghcr.io/me/vision-node-api:1"
