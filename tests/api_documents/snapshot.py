"""The snapshot docs/openapi.json, and how the API differs from it."""

import json
from pathlib import Path
from typing import Any

from vision_node_api.app import build_app

from .compatibility import breaking_changes

PATH = Path(__file__).parents[2] / "docs/openapi.json"


def snapshot() -> dict[str, Any]:
    """Return the document that clients were promised."""
    found: dict[str, Any] = json.loads(PATH.read_text())
    return found


def current() -> dict[str, Any]:
    """Return the document of the code."""
    return build_app().openapi()


def current_text() -> str:
    """Return the document of the code as it is written to the snapshot."""
    return json.dumps(current(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def is_stale() -> bool:
    """Return whether the snapshot differs from the code in anything but the version."""
    return _without_version(snapshot()) != _without_version(json.loads(current_text()))


def incompatible_changes() -> list[str]:
    """Return what would break clients of the snapshot; nothing if there is no snapshot yet."""
    return breaking_changes(snapshot(), current()) if PATH.exists() else []


def _without_version(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "info": {**document["info"], "version": ""}}
