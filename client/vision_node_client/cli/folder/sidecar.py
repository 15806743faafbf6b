"""Write results next to their images."""

import json
from pathlib import Path

from ...models import Result
from .atomic import write_atomically

SUFFIX = ".vision-node.json"
"""What the name of a sidecar has in addition to that of its image. With `.json` alone, it could
replace a file of another program, such as the sidecars in exports of Google Photos."""


def write_sidecar(image: Path, result: Result) -> None:
    """Write the result of an image next to it, if it has one. A former sidecar is replaced."""
    if result.description is None:
        return

    text = json.dumps(result.description.document, indent=2, ensure_ascii=False) + "\n"
    write_atomically(image.with_name(image.name + SUFFIX), [text.encode(errors="replace")])
