"""Load the labeled pictures of packages: photographs, and drawings, textures and the like."""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from bench.errors import BenchError
from bench.local import packages, qt_resources
from bench.local.truth import Group, Sample, Truth
from cluster.context import BuildContext

_FOLDER = Path(__file__).parent
_LABELS = {
    Group.PHOTOGRAPH: _FOLDER / "photographs.yaml",
    Group.OTHER: _FOLDER / "other_pictures.yaml",
}

_INSTALLED = {"scikit-image": "skimage", "scikit-learn": "sklearn"}
"""Module names of packages that contain pictures and are already installed for the tests."""

_ARCHIVE = ".rcc/"


def samples(ctx: BuildContext) -> list[Sample]:
    """Return all labeled pictures in packages. Each package is fetched on first use."""
    return [
        sample
        for group, labels in _LABELS.items()
        for section in yaml.safe_load(labels.read_text())
        for sample in _section(ctx, group, section)
    ]


def _section(ctx: BuildContext, group: Group, section: Mapping[str, Any]) -> Iterator[Sample]:
    package, folder = section["package"], section["folder"]
    for path, labels in section["pictures"].items():
        name = f"{package}: {Path(folder).name}/{path}"
        yield Sample(name, group, truth(labels), _loader(ctx, package, f"{folder}/{path}"))


def truth(labels: Mapping[str, Any]) -> Truth:
    """Return the truth that the labels of an entry describe.

    Raises:
        BenchError: A key is unknown. Its label would otherwise be ignored.
    """
    if unknown := labels.keys() - {"kind", "must", "may", "count", "outdoors"}:
        raise BenchError(f"unknown keys in the labels: {', '.join(sorted(unknown))}")

    counts = {
        name: (count, count) if isinstance(count, int) else (count[0], count[1])
        for name, count in labels.get("count", {}).items()
    }
    return Truth(
        kinds=frozenset(labels.get("kind", ["photograph"])),
        must=frozenset(labels.get("must", [])),
        may=frozenset(labels.get("may", [])),
        counts=counts,
        outdoors=labels.get("outdoors"),
    )


def _loader(ctx: BuildContext, package: str, path: str) -> Callable[[], bytes]:
    def load() -> bytes:
        if package in _INSTALLED:
            return (_module_folder(_INSTALLED[package]) / path).read_bytes()

        folder = packages.folder(ctx, packages.PACKAGES[package])
        if _ARCHIVE in path:
            archive, _, inside = path.partition(_ARCHIVE)
            return qt_resources.read(folder / f"{archive}.rcc", inside)

        return (folder / path).read_bytes()

    return load


def _module_folder(name: str) -> Path:
    file = import_module(name).__file__
    if file is None:
        raise BenchError(f"{name} is not a regular package")
    return Path(file).parent
