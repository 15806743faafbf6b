"""Read the provider settings in `.env`, such as API keys, which `up` copies to the cluster."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from cluster.errors import ClusterError

SECRET = "vision-node-provider"  # noqa: S105  # the Secret's name

FORWARDED_VARIABLES = ("OPENAI_API_KEY", "OPENAI_VISION_MODEL", "OPENAI_BASE_URL")

# Only the file can set these variables. In the environment, they often belong to other tools, such
# as the AWS keys for kubectl or a registry, and must not end up in the cluster.
CLOUD_VARIABLES = (
    *("GOOGLE_API_KEY", "GOOGLE_SERVICE_ACCOUNT_JSON"),
    *("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)


def read(file: Path, environment: Mapping[str, str], *, cloud: bool = False) -> dict[str, str]:
    """Return the non-empty provider settings. The environment takes precedence over the file.

    With `cloud`, the settings include those of google and rekognition, from the file alone.

    Raises ClusterError if a line is not NAME=value. The message contains the line's number but
    not its text, which may contain an API key.
    """
    lines = file.read_text().splitlines() if file.exists() else []
    found = dict(
        _setting(file, number, line) for number, line in enumerate(lines, 1) if _is_setting(line)
    )
    found |= {name: environment[name] for name in FORWARDED_VARIABLES if name in environment}
    names = (*FORWARDED_VARIABLES, *(CLOUD_VARIABLES if cloud else ()))
    return {name: found[name] for name in names if found.get(name)}


def enables_openai(settings: Mapping[str, str]) -> bool:
    """Return whether these settings enable `openai`, which then becomes the default describer."""
    return any(name in settings for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"))


def secret_manifest(settings: Mapping[str, str], namespace: str) -> dict[str, object]:
    """Return the Secret with the settings.

    The settings are in `data`. With `stringData`, settings that were removed would stay in the
    Secret.
    """
    metadata = {"name": SECRET, "namespace": namespace}
    encoded = {name: b64encode(value.encode()).decode() for name, value in settings.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


def _is_setting(line: str) -> bool:
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
