"""Read lines of results, and only as much of them as is needed.

Lines are usually as `ResultLine` writes them. But any worker can write any text, so lines that look
different are parsed completely.
"""

import json
import re
from dataclasses import dataclass
from typing import Literal

from vision_node_contract.json_types import Json

EndedPhase = Literal["done", "failed"]
"""The phase of an image that has a line."""

_TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_INDEX = re.compile(rb'\{"index":(\d{1,9}),')
_HEAD = re.compile(
    rb'\{"index":(\d{1,9}),"customId":('
    + _TEXT
    + rb')(?:,"key":'
    + _TEXT
    + rb')?(?:,"size":\d{1,15})?,"(result|error)":'
)


@dataclass(frozen=True, slots=True)
class LineHead:
    """The beginning of a line."""

    index: int
    custom_id: str
    phase: EndedPhase


def head_of(line: bytes) -> LineHead | None:
    """Return the beginning of a line; None if it does not look as usual."""
    found = _HEAD.match(line)
    if found is None:
        return None

    try:
        custom_id = json.loads(found[2])
    except ValueError:
        return None

    return LineHead(int(found[1]), custom_id, "done" if found[3] == b"result" else "failed")


def phase_of(line: bytes) -> EndedPhase:
    """Return whether an image has been described. A line that can't be read says no."""
    if found := _HEAD.match(line):
        return "done" if found[3] == b"result" else "failed"

    parsed = parse_line(line) or {}
    return "done" if "result" in parsed and not parsed.get("error") else "failed"


def index_of(line: bytes) -> int | None:
    """Return the index of an image; None if the line has none."""
    if found := _INDEX.match(line):
        return int(found[1])

    index = (parse_line(line) or {}).get("index")
    return index if isinstance(index, int) else None


def parse_line(line: bytes) -> Json | None:
    """Return the line as JSON; None if it is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None

    return found if isinstance(found, dict) else None
