"""Read and set the project's version.

It is defined in pyproject.toml, from which the Python packages read it when they are built. The
chart and the documentation repeat it.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from cluster.errors import ClusterError

PROJECT = Path("pyproject.toml")
CHART = Path("charts/vision-node")

PROJECT_VERSION = re.compile(r'^(version = ")([^"]+)(?=")', re.M)
CHART_VERSION = re.compile(r"^((?:version|appVersion): )(\S+)$", re.M)
IMAGE_TAG = re.compile(r"(\bvision-node-[\w$-]+:)(\d+\.\d+\.\d+)\b")
"""The tag of an image in the chart's values, or in a command such as `docker build`."""

VALID = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
"""The versions that are valid for both Helm (Semantic Versioning) and Python (PEP 440)."""


def read(repository: Path) -> str:
    """Return the project's version. Raises ClusterError if pyproject.toml does not have one."""
    found = PROJECT_VERSION.search((repository / PROJECT).read_text())
    if not found:
        raise ClusterError(f'{PROJECT} does not have a line version = "…"')
    return found[2]


def files(repository: Path) -> Mapping[Path, re.Pattern[str]]:
    """Return the files that may contain the version, each with a pattern that finds it."""
    documents = [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]
    return {
        repository / PROJECT: PROJECT_VERSION,
        repository / CHART / "Chart.yaml": CHART_VERSION,
        repository / CHART / "values.yaml": IMAGE_TAG,
        repository / CHART / "defaults.yaml": IMAGE_TAG,
        **dict.fromkeys(documents, IMAGE_TAG),
    }


def write(repository: Path, version: str) -> list[Path]:
    """Set the version in all files, and return the changed ones.

    Raises ClusterError if the version is invalid.
    """
    if not VALID.fullmatch(version):
        raise ClusterError(f"{version!r} is not a version of three numbers, such as 0.2.0")

    changed = []
    for file, pattern in files(repository).items():
        old = file.read_text()
        new = pattern.sub(rf"\g<1>{version}", old)
        if new != old:
            file.write_text(new)
            changed.append(file)

    return changed
