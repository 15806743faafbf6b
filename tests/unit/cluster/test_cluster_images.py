import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from cluster.artifacts import archive
from cluster.artifacts.images import Images, room_key, wanted_extras
from cluster.errors import ClusterError


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of two rooms."""
    for name, text in {
        "api/Dockerfile": "FROM scratch",
        "api/pyproject.toml": "",
        "api/vision_node_api/main.py": "",
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
    "changed", ["api/vision_node_api/main.py", "api/Dockerfile", "crds/imagejobs.yaml", "uv.lock"]
)
def test_an_image_is_built_anew_when_its_inputs_change(checkout: Path, changed: str) -> None:
    before = room_key(checkout, "api", "base")
    (checkout / changed).write_text("changed")
    assert room_key(checkout, "api", "base") != before


@pytest.mark.parametrize("changed", ["operator/main.py", "README.md"])
def test_another_rooms_change_builds_nothing(checkout: Path, changed: str) -> None:
    before = room_key(checkout, "api", "base")
    (checkout / changed).write_text("changed")
    assert room_key(checkout, "api", "base") == before


def test_another_base_image_builds_anew(checkout: Path) -> None:
    assert room_key(checkout, "api", "one") != room_key(checkout, "api", "two")


def test_a_missing_dockerfile_is_named(checkout: Path) -> None:
    with pytest.raises(ClusterError, match="describer/Dockerfile"):
        room_key(checkout, "describer", "base")


def test_extras_are_made_when_they_are_named() -> None:
    assert wanted_extras({}) == []
    assert wanted_extras({"EXTRAS": " ocr "}) == ["ocr"]
    with pytest.raises(ClusterError, match="there is no orc; choose from ocr"):
        wanted_extras({"EXTRAS": "orc"})


def test_extras_go_to_the_node_and_not_into_the_charts_values() -> None:
    images = Images("api:1", "operator:1", "describer:1", "minio:1", ("describer-ocr:1",))
    assert images.all[-1] == "describer-ocr:1"
    assert images.values.keys() == {"api", "operator", "describer", "minio"}
    assert images.renamed("registry/".__add__).extras == ("registry/describer-ocr:1",)


def test_files_links_and_folders_are_packed_under_new_names(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("binary")
    archive.pack_files({"/bin/tool": program, "bin/alias": "tool", "tmp": None}, tmp_path / "layer")
    with tarfile.open(tmp_path / "layer") as tar:
        assert tar.getmember("bin/tool").mode == 0o755
        assert tar.getmember("bin/alias").linkname == "tool"
        assert tar.getmember("tmp").mode == 0o1777


def test_an_archive_names_its_images_and_their_layers_by_content(tmp_path: Path) -> None:
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


def test_an_archive_says_whose_program_it_is_and_who_runs_it(tmp_path: Path) -> None:
    image = archive.Image(("one:1",), (), ("/run",), user="10001:10001", labels=(("a", "b"),))
    archive.write([image], tmp_path / "archive.tar")
    with tarfile.open(tmp_path / "archive.tar") as tar:
        manifest = json.loads(_read(tar, "manifest.json"))[0]
        configuration = json.loads(_read(tar, manifest["Config"]))

    assert (configuration["config"]["User"], configuration["config"]["Labels"]) == (
        "10001:10001",
        {"a": "b"},
    )


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()
