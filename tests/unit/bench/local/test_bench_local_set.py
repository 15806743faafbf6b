"""Tests of the labeled set and of the archives that its photographs come from."""

import io
import struct
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from bench.errors import BenchError
from bench.local import debian_archive, qt_resources
from bench.local.altered import ALTERATIONS
from bench.local.broader import from_classes
from bench.local.drawn import DRAWINGS
from bench.local.drawn.charts import CHARTS
from bench.local.judge import NEVER
from bench.local.packages import PACKAGES, Package
from bench.local.photographs import truth
from bench.local.quality import samples
from bench.local.truth import GENERIC, Group
from PIL import Image

SAMPLES = samples()


def test_set_is_large_enough_and_a_third_is_held_out() -> None:
    numbers = Counter(sample.group for sample in SAMPLES)
    assert numbers[Group.PHOTOGRAPH] >= 55
    assert numbers[Group.ALTERED] >= 20
    assert numbers[Group.OTHER] >= 25
    for group, number in numbers.items():
        held_out = sum(sample.held_out for sample in SAMPLES if sample.group is group)
        # Altered photographs go with their originals, of which several are used more than once.
        least = 0.1 if group is Group.ALTERED else 0.2
        assert least <= held_out / number <= 0.45


def test_names_are_unique() -> None:
    assert not [name for name, number in Counter(s.name for s in SAMPLES).items() if number > 1]


def test_each_photograph_has_a_specific_label() -> None:
    for sample in SAMPLES:
        if sample.group is not Group.OTHER:
            assert sample.truth.must, sample.name
        assert not sample.truth.must & GENERIC, sample.name
        assert not sample.truth.names & NEVER, sample.name


def test_counts_are_of_accepted_things() -> None:
    for sample in SAMPLES:
        assert sample.truth.counts.keys() <= sample.truth.names, sample.name
        assert all(1 <= least <= most for least, most in sample.truth.counts.values()), sample.name


def test_packages_are_pinned() -> None:
    for package in PACKAGES.values():
        assert package.registry in {"pypi", "npm", "debian"}
        assert package.version
        assert len(package.sha256) == 64


def test_file_names_are_those_of_the_clients() -> None:
    assert Package("npm", "@a/b-c", "1.2.3", "").file == "a-b-c-1.2.3.tgz"
    assert Package("debian", "a-b", "1.2-3", "").file == "a-b_1.2-3_all.deb"


def test_misspelled_label_is_an_error() -> None:
    with pytest.raises(BenchError, match="mustn"):
        truth({"mustn": ["cat"]})


@pytest.mark.parametrize("name", sorted(DRAWINGS.keys() - CHARTS.keys()))
def test_drawings_can_be_opened(name: str) -> None:
    with Image.open(io.BytesIO(DRAWINGS[name].file())) as picture:
        assert picture.format == DRAWINGS[name].format


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=lambda one: f"{one.title} {one.photograph}")
def test_altered_photographs_can_be_opened(alteration: object) -> None:
    file = alteration.file(Image.linear_gradient("L").convert("RGB"))
    with Image.open(io.BytesIO(file)) as picture:
        picture.load()


def test_broader_names_come_from_the_classes_and_from_the_set(tmp_path: Path) -> None:
    classes = tmp_path / "classes.tsv"
    classes.write_text("Egyptian cat\tcat, animal\nabacus\t\n")
    broader = from_classes(classes)
    assert broader["egyptian cat"] == {"cat", "animal"}
    assert broader["cat"] == {"animal"}
    assert broader["abacus"] == set()
    assert "vehicle" in broader["rocket"]


def test_debian_package_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        entry = tarfile.TarInfo("./usr/share/a.png")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))

    package = tmp_path / "a.deb"
    parts = (("debian-binary", b"2.0"), ("data.tar.xz", buffer.getvalue()))
    package.write_bytes(b"!<arch>\n" + b"".join(_member(*part) for part in parts))
    with debian_archive.open_data(package) as archive:
        assert archive.getnames() == ["./usr/share/a.png"]

    package.write_bytes(b"!<arch>\n" + _member("debian-binary", b"2.0"))
    with pytest.raises(BenchError, match=r"no data\.tar"), debian_archive.open_data(package):
        pass


def _member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(content):<10}`\n".encode()
    return head + content + b"\n" * (len(content) % 2)


def test_qt_resource_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.rcc"
    file.write_bytes(_resources({"one": b"first", "two": b"second"}))
    assert qt_resources.names(file) == ["folder/one", "folder/two"]
    assert qt_resources.read(file, "folder/two") == b"second"
    with pytest.raises(BenchError, match="three"):
        qt_resources.read(file, "folder/three")


def _resources(files: dict[str, bytes]) -> bytes:
    """Return a resource file of version 2 with one folder."""
    texts, text_at = b"", {}
    for name in ("folder", *files):
        text_at[name] = len(texts)
        texts += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")

    data = b""
    tree = struct.pack(">IHIIQ", 0, 2, 1, 1, 0)
    tree += struct.pack(">IHIIQ", text_at["folder"], 2, len(files), 2, 0)
    for name, content in files.items():
        tree += struct.pack(">IHHHIQ", text_at[name], 0, 0, 0, len(data), 0)
        data += struct.pack(">I", len(content)) + content

    start = 20
    head = struct.pack(">4s4I", b"qres", 2, start, start + len(tree), start + len(tree) + len(data))
    return head + tree + data + texts
