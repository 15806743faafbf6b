"""What `.env` in the project's root carries into the cluster: the keys of description services."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from cluster.errors import ClusterError

SECRET = "vision-node-provider"  # noqa: S105  # its name

CARRIED = ("OPENAI_API_KEY", "OPENAI_VISION_MODEL", "OPENAI_BASE_URL")


def read(file: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The settings that are carried, of the file or, first, of the environment; empty ones are left out.

    Raises ClusterError for a line that is no NAME=value; the message has the line's number and not
    its text.
    """
    lines = file.read_text().splitlines() if file.exists() else []
    found = dict(
        _setting(file, number, line) for number, line in enumerate(lines, 1) if _says(line)
    )
    found |= {name: environment[name] for name in CARRIED if name in environment}
    return {name: found[name] for name in CARRIED if found.get(name)}


def chooses_openai(settings: Mapping[str, str]) -> bool:
    """Return whether `openai` can work with these settings; if so, it is enabled and becomes the default."""
    return any(name in settings for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"))


def manifest(settings: Mapping[str, str], namespace: str) -> dict[str, object]:
    """The Secret that holds them, and nothing that it held before (as it would with `stringData`)."""
    metadata = {"name": SECRET, "namespace": namespace}
    encoded = {name: b64encode(value.encode()).decode() for name, value in settings.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _setting(file: Path, number: int, line: str) -> tuple[str, str]:
    name, equals, value = line.strip().removeprefix("export ").partition("=")
    if not equals or not name.strip().isidentifier():
        raise ClusterError(f"{file.name}, line {number} is not of the form NAME=value")

    value = value.strip()
    for quote in "\"'":
        if len(value) > 1 and value[0] == value[-1] == quote:
            value = value[1:-1]

    return name.strip(), value
