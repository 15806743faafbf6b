"""Tests of `make version`, and of the version number in each file that contains it."""

import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import yaml

import cluster
from cluster.dev import project_version
from cluster.errors import ClusterError

REPOSITORY = Path(cluster.__file__).parent.parent
VERSION = project_version.read(REPOSITORY)
PACKAGES = ("api", "contract", "operator", "describer")


def copied(repository: Path) -> Path:
    """Copy every file that may contain the version to `repository`, and return `repository`."""
    for file in project_version.files(REPOSITORY):
        copy = repository / file.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    return repository


@pytest.mark.parametrize("package", PACKAGES)
def test_package_has_project_version(package: str) -> None:
    assert metadata.version(f"vision-node-{package}") == VERSION


def test_chart_has_project_version() -> None:
    chart = yaml.safe_load((REPOSITORY / "charts/vision-node/Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)


@pytest.mark.parametrize("file", ["values.yaml", "defaults.yaml"])
def test_chart_images_have_project_version(file: str) -> None:
    values = yaml.safe_load((REPOSITORY / "charts/vision-node" / file).read_text())
    assert {image.partition(":")[2] for image in values["images"].values()} == {VERSION}


def test_documented_images_have_project_version() -> None:
    tags = [
        tag
        for file in (REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md"))
        for tag in re.findall(r"\bvision-node-[\w$-]+:(\d+(?:\.\d+)+)", file.read_text())
    ]
    assert tags
    assert set(tags) == {VERSION}


def test_set_version_changes_every_file(tmp_path: Path) -> None:
    repository = copied(tmp_path)
    changed = project_version.write(repository, "12.3.4")

    assert project_version.read(repository) == "12.3.4"
    assert {file.name for file in changed} >= {"pyproject.toml", "Chart.yaml", "values.yaml"}
    for file in changed:
        old = (REPOSITORY / file.relative_to(repository)).read_text()
        # Packages that are pinned with "==" have versions of their own.
        assert file.read_text() == re.sub(rf"(?<!==){re.escape(VERSION)}", "12.3.4", old)


def test_set_version_does_not_change_unrelated_equal_versions(tmp_path: Path) -> None:
    repository = copied(tmp_path)
    chart = repository / "charts/vision-node/Chart.yaml"
    chart.write_text(f"{chart.read_text()}kubeVersion: '>={VERSION}'\n")
    project_version.write(repository, "12.3.4")
    assert f"kubeVersion: '>={VERSION}'" in chart.read_text()


def test_setting_the_old_version_again_restores_the_files(tmp_path: Path) -> None:
    repository = copied(tmp_path)
    for version in ("12.3.4", VERSION):
        changed = project_version.write(repository, version)
    for file in changed:
        assert file.read_text() == (REPOSITORY / file.relative_to(repository)).read_text()


@pytest.mark.parametrize("version", ["", "1", "1.2", "v1.2.3", "1.2.3rc1", "01.2.3", "1.2.3\n"])
def test_invalid_version_is_refused(version: str, tmp_path: Path) -> None:
    repository = copied(tmp_path)
    with pytest.raises(ClusterError, match=r"such as 0\.2\.0"):
        project_version.write(repository, version)
    assert project_version.read(repository) == VERSION


def test_make_version_without_a_version_is_an_error() -> None:
    done = subprocess.run(
        ["make", "version"], check=False, cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "VERSION=0.2.0" in done.stderr
