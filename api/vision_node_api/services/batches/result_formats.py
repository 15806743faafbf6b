"""Formats of results: JSON Lines as stored, JSON Lines of some images, and CSV."""

from collections.abc import Iterator
from typing import Literal, Protocol

from vision_node_contract.bucket_keys import INBOX_PREFIX
from vision_node_contract.json_types import Json

from ...web.csv_cells import BYTE_ORDER_MARK, csv_rows
from ...web.problems import Problem
from .line_blocks import UNREADABLE
from .result_line import EndedPhase, parse_line, phase_of

ResultFormat = Literal["jsonl", "csv"]

COLUMNS = ("customId", "file", "phase", "caption", "alt", "tags", "text", "error")
"""Names of the columns in CSV."""


class Encoder(Protocol):
    """Converts blocks of whole lines."""

    start: bytes
    """What a response without earlier parts begins with."""
    keep_alive: bytes
    """What is sent while there are no results. Readers skip it."""

    def encode(self, block: bytes) -> bytes:
        """Return the block in this format; empty if it has no wanted image."""
        ...


def encoder_of(format: ResultFormat, phase: EndedPhase | None) -> Encoder | None:  # noqa: A002
    """Return the encoder of a format; None if results are sent as they are stored.

    Args:
        format: The format.
        phase: Which images are wanted; None for all.
    """
    if format == "csv":
        return CsvEncoder(phase)

    return FilteredLines(phase) if phase else None


class FilteredLines:
    """JSON Lines of the images with one phase."""

    start = b""
    keep_alive = b"\n"

    def __init__(self, phase: EndedPhase) -> None:
        self._phase = phase

    def encode(self, block: bytes) -> bytes:
        """Return the lines of the wanted images, unchanged."""
        return b"".join(b"%b\n" % line for line in _lines(block, self._phase))


class CsvEncoder:
    """CSV with a row for each image."""

    start = BYTE_ORDER_MARK + csv_rows([COLUMNS])
    keep_alive = b"\r\n"

    def __init__(self, phase: EndedPhase | None) -> None:
        self._phase = phase

    def encode(self, block: bytes) -> bytes:
        """Return the rows of the wanted images."""
        return csv_rows(map(_row, _lines(block, self._phase)))


def broken_off_row(problem: Problem) -> bytes:
    """Return the last row of CSV that can't be completed."""
    return csv_rows([_error_row(problem.reason, problem.detail)])


def _lines(block: bytes, phase: EndedPhase | None) -> Iterator[bytes]:
    """Yield the lines of images with this phase, or all of them, without their ends."""
    for line in block.split(b"\n"):
        if line and (phase is None or phase_of(line) == phase):
            yield line


def _row(line: bytes) -> list[str]:
    parsed = parse_line(line)
    if parsed is None:
        return _error_row(UNREADABLE, "A line of the results is no valid JSON.")

    custom_id, error = _text(parsed.get("customId")), _error(parsed)

    return [
        custom_id,
        file_name_of(_text(parsed.get("key")), custom_id),
        "failed" if error else "done",
        *result_cells(parsed.get("result")),
        error,
    ]


def result_cells(result: object) -> list[str]:
    """Return the cells of a result, which may be anything: caption, alt, tags and text."""
    found = result if isinstance(result, dict) else {}
    tags = found.get("tags")

    return [
        _text(found.get("caption")),
        _text(found.get("alt")),
        ", ".join(map(_text, tags)) if isinstance(tags, list) else "",
        _text(found.get("text")),
    ]


def _error_row(reason: str, message: str) -> list[str]:
    return ["", "", "failed", "", "", "", "", f"{reason}: {message}"]


def _error(parsed: Json) -> str:
    """Return the error of a line; empty if it has a result."""
    match parsed.get("error"):
        case {"reason": str(reason), "message": str(message)}:
            images = f" (images {parsed['ranges']})" if "ranges" in parsed else ""
            return f"{reason}: {message}{images}"

    return "" if "result" in parsed else f"{UNREADABLE}: The line has neither result nor error."


def file_name_of(key: str, custom_id: str) -> str:
    """Return the name of the image's file.

    The key of an uploaded image is the same for many of them, or is made from the customId.
    """
    path = key if key.startswith(INBOX_PREFIX) else custom_id
    return path.rpartition("/")[2]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
