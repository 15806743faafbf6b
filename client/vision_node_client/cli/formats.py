"""The formats of results in files: JSON Lines and CSV."""

import csv
import io
import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import BinaryIO, Protocol

from ..models import Description, JobDetails, Json, Result

COLUMNS = ("customId", "file", "phase", "caption", "alt", "tags", "text", "error")
"""The columns of CSV. The server's `format=csv` has the same ones, with the same content."""

JOB_COLUMNS = (*COLUMNS, "job_id", "describer", "created_at", "completed_at", "cursor")
"""The columns of jobs in CSV, which are those of the server's export."""

BYTE_ORDER_MARK = "\ufeff".encode()
"""Excel takes UTF-8 without this mark for the code page of the computer."""

INBOX_PREFIX = "inbox/"
"""What the keys of images in the inbox begin with. Other keys do not contain the file's name."""

_FORMULA = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
"""Characters with which formulas begin, and their full-width variants."""

# In many countries, the separator is a semicolon or a tab, and then what follows one is a cell,
# quoted or not.
_DANGER = re.compile(
    rf"\A(?=[\t\r\n])|\A(?=[\s\u200b\u2060\ufeff]*{_FORMULA})|(?<=[;\t\r\n])(?=[^\S\t\r\n]*{_FORMULA})"
)


class Format(Protocol):
    """How results are written to a file."""

    name: str
    header: bytes
    """What the file begins with."""

    def line(self, result: Result) -> bytes:
        """Return the line of an image."""
        ...

    def without_failed(self, file: BinaryIO, kept: Collection[str]) -> Iterator[bytes]:
        """Yield the lines of a file, except those of images that failed.

        Args:
            file: A file with complete lines.
            kept: customIds of failed images whose lines stay.
        """
        ...

    def name_of(self, custom_id: str) -> str:
        """Return a customId as it is in a file."""
        ...

    def names(self, file: BinaryIO) -> Iterator[str]:
        """Yield the customIds in a file with complete lines."""
        ...


class JsonLines:
    """A JSON object for each image, as the server sent it."""

    name = "jsonl"
    header = b""

    def line(self, result: Result) -> bytes:
        """Return the line of an image."""
        return json_line(result.document)

    def without_failed(self, file: BinaryIO, kept: Collection[str]) -> Iterator[bytes]:
        """Yield the lines of a file, except those of images that failed."""
        for line in file:
            found = json.loads(line)
            if not found.get("error") or found.get("customId") in kept:
                yield line

    def name_of(self, custom_id: str) -> str:
        """Return a customId as it is in a file."""
        return _printable(custom_id)

    def names(self, file: BinaryIO) -> Iterator[str]:
        """Yield the customIds in a file with complete lines."""
        for line in file:
            yield str(json.loads(line).get("customId"))


class Csv:
    """A row for each image, which is safe to open in a spreadsheet."""

    name = "csv"

    def __init__(self) -> None:
        self.header = BYTE_ORDER_MARK + _row(COLUMNS)

    def line(self, result: Result) -> bytes:
        """Return the row of an image."""
        error = result.error
        cells = [
            result.custom_id or "",
            _file_name(result),
            "failed" if error else "done",
            *_description_cells(result.description),
            f"{error.reason}: {error.message}" if error else "",
        ]
        return _row([safe_cell(cell) for cell in cells])

    def without_failed(self, file: BinaryIO, kept: Collection[str]) -> Iterator[bytes]:
        """Yield the rows of a file, except those of images that failed."""
        kept_cells = {self.name_of(it) for it in kept}
        with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            rows = csv.reader(text)
            next(rows)
            yield self.header
            for row in rows:
                if row[2] != "failed" or row[0] in kept_cells:
                    yield _row(row)

    def name_of(self, custom_id: str) -> str:
        """Return a customId as it is in a file."""
        return _printable(safe_cell(custom_id))

    def names(self, file: BinaryIO) -> Iterator[str]:
        """Yield the customIds in a file with complete lines."""
        with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            rows = csv.reader(text)
            next(rows)
            yield from (row[0] for row in rows)


class JobLines:
    """A JSON object for each job, as the server sent it."""

    header = b""

    def line(self, job: JobDetails) -> bytes:
        """Return the line of a job."""
        return json_line(job.document)


class JobCsv:
    """A row for each job, which is safe to open in a spreadsheet."""

    def __init__(self) -> None:
        self.header = BYTE_ORDER_MARK + _row(JOB_COLUMNS)

    def line(self, job: JobDetails) -> bytes:
        """Return the row of a job."""
        custom_id = str(job.document.get("custom_id") or "")
        image = job.document.get("image")
        name = image.get("file_name") if isinstance(image, dict) else None
        error = job.error if job.status == "failed" else job.result_error
        cells = [
            custom_id,
            str(name or custom_id.rpartition("/")[2]),
            job.status,
            *_description_cells(job.description),
            f"{error.reason}: {error.message}" if error else "",
            job.id,
            job.describer,
            job.created_at or "",
            str(job.document.get("completed_at") or ""),
            job.cursor or "",
        ]
        return _row([safe_cell(cell) for cell in cells])


def json_line(document: Json) -> bytes:
    """Return a line of JSON Lines."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace") + b"\n"


def safe_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula.

    A formula can send data away or start programs (https://owasp.org/www-community/attacks/CSV_Injection).
    An apostrophe makes it a text.
    """
    return _DANGER.sub("'", text.replace("\0", "\ufffd"))


def _description_cells(found: Description | None) -> list[str]:
    if found is None:
        return ["", "", "", ""]

    return [found.caption or "", found.alt or "", ", ".join(found.tags), found.text_in_image or ""]


def _file_name(result: Result) -> str:
    key = result.document.get("key")
    path = key if isinstance(key, str) and key.startswith(INBOX_PREFIX) else result.custom_id
    return (path or "").rpartition("/")[2]


def _row(cells: Iterable[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue().encode(errors="replace")


def _printable(text: str) -> str:
    """Return a text as it is in a file."""
    return text.encode(errors="replace").decode()
