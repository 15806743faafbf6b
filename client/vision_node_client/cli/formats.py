"""The formats of results in files: JSON Lines and CSV."""

import csv
import io
import json
from collections.abc import Collection, Iterator
from typing import BinaryIO, Protocol

from ..models import Json, Result

COLUMNS = ("customId", "file", "phase", "caption", "alt", "tags", "text", "error")
"""The columns of CSV, which are those of the server's `format=csv`."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings of cells that spreadsheets run as formulas. A text in an image may begin so."""


class Format(Protocol):
    """How results are written to a file."""

    name: str
    header: bytes
    """What the file begins with."""

    def line(self, result: Result, file: str) -> bytes:
        """Return the line of an image; `file` is its path or its key in the bucket."""
        ...

    def without_failed(self, file: BinaryIO, kept: Collection[str]) -> Iterator[bytes]:
        """Yield the lines of a file, except those of images that failed.

        Args:
            file: A file with complete lines.
            kept: customIds of failed images whose lines stay.
        """
        ...


class JsonLines:
    """A JSON object for each image, as the server sent it."""

    name = "jsonl"
    header = b""

    def line(self, result: Result, file: str) -> bytes:  # noqa: ARG002 (part of the protocol)
        """Return the line of an image."""
        return json_line(result.document)

    def without_failed(self, file: BinaryIO, kept: Collection[str]) -> Iterator[bytes]:
        """Yield the lines of a file, except those of images that failed."""
        for line in file:
            found = json.loads(line)
            if "error" not in found or found.get("customId") in kept:
                yield line


class Csv:
    """A row for each image, which is safe to open in a spreadsheet."""

    name = "csv"

    def __init__(self) -> None:
        self.header = _row(list(COLUMNS))

    def line(self, result: Result, file: str) -> bytes:
        """Return the row of an image."""
        found, error = result.description, result.error
        cells = [
            result.custom_id or "",
            file,
            "done" if found else "failed",
            (found.caption if found else None) or "",
            (found.alt if found else None) or "",
            ", ".join(found.tags) if found else "",
            (found.text_in_image if found else None) or "",
            f"{error.reason}: {error.message}" if error else "",
        ]
        return _row([safe_cell(cell) for cell in cells])

    def without_failed(self, file: BinaryIO, kept: Collection[str]) -> Iterator[bytes]:
        """Yield the rows of a file, except those of images that failed."""
        kept_cells = {_printable(safe_cell(it)) for it in kept}
        with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
            for row in csv.reader(text):
                if row[2] != "failed" or row[0] in kept_cells:
                    yield _row(row)


def json_line(document: Json) -> bytes:
    """Return a line of JSON Lines."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace") + b"\n"


def safe_cell(text: str) -> str:
    """Return a text that spreadsheets do not take for a formula.

    OWASP, "CSV Injection": an apostrophe at the beginning makes it a text.
    """
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text


def _row(cells: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue().encode(errors="replace")


def _printable(text: str) -> str:
    return text.encode(errors="replace").decode()
