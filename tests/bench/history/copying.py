"""Make the rows of an invented history for PostgreSQL's COPY, which is faster than the archiver.

The columns and the division into chunks are those of the archiver.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vision_node_contract.history.lexemes import vector_text
from vision_node_contract.history.records import ImageRow, JobRow
from vision_node_contract.names import OWNER_LABEL

from bench.history.invented import PIECE_ROWS, Invented, chunk_of, is_batch, rows_of

IMAGES = (
    "uid image_index at name custom_id owner describer phase reason body excerpt result"
    " archive_error search"
)
JOBS = "uid name finished_at expires_at evicted_at image_key result_key"
BATCHES = "uid name owner created_at finished_at evicted_at archived_index body"
"""Columns of the tables."""

AHEAD = 4
"""Number of pieces that are made ahead, of about 30 MB each."""

EVICTED_AFTER = timedelta(hours=1)

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass
class Piece:
    """Rows of each table in the text format of COPY."""

    images: bytes = b""
    jobs: bytes = b""
    batches: bytes = b""

    def copies(self) -> Iterator[tuple[str, bytes]]:
        """Yield the statements and the data that they read."""
        for table, columns in (("images", IMAGES), ("jobs", JOBS), ("batches", BATCHES)):
            if data := getattr(self, table):
                yield f"COPY {table} ({', '.join(columns.split())}) FROM STDIN", data


@dataclass
class _Lines:
    images: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)


def pieces(history: Invented) -> Iterator[Piece]:
    """Yield the pieces of a history, made by a process of its own."""
    with ProcessPoolExecutor(1, initializer=os.nice, initargs=(1,)) as processes:
        waiting: list[Future[Piece]] = []
        for number in range(history.pieces):
            waiting.append(processes.submit(make, history, number))
            if len(waiting) > AHEAD:
                yield waiting.pop(0).result()
        for it in waiting:
            yield it.result()


def make(history: Invented, piece: int) -> Piece:
    """Make a piece of a history."""
    return _of_batch(history, piece) if is_batch(piece) else _of_jobs(history, piece)


def final_statements(history: Invented) -> Iterator[str]:
    """Yield the statements that note what was copied: chunks, and the number of rows."""
    chunks = -(-history.rows // (2 * PIECE_ROWS))
    for chunk in range(chunks):
        first = chunk * 2 * PIECE_ROWS
        rows = min(history.rows - first, 2 * PIECE_ROWS)
        starts_at = "-infinity" if chunk == 0 else history.at(first).isoformat()
        last_at = history.at(first + rows - 1).isoformat()
        yield (
            "INSERT INTO chunks (id, starts_at, rows, last_at)"  # noqa: S608 (numbers and times)
            f" VALUES ({chunk}, '{starts_at}', {rows}, '{last_at}')"
            " ON CONFLICT (id) DO UPDATE SET rows = excluded.rows, last_at = excluded.last_at"
        )
    yield f"UPDATE owner SET written = written + {history.rows}"  # noqa: S608 (an int)
    yield "ANALYZE"


def copy_line(values: Sequence[object]) -> str:
    """Return a row in the text format of COPY."""
    return "\t".join(_text(value) for value in values) + "\n"


def _text(value: object) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).translate(_ESCAPES)


def _of_jobs(history: Invented, piece: int) -> Piece:
    lines = _Lines()
    for number, body in zip(history.numbers(piece), history.jobs(piece), strict=True):
        image, job = rows_of(body, history.newest)
        lines.images.append(_image_line(image, chunk_of(number)))
        lines.jobs.append(_job_line(job))

    return Piece(_joined(lines.images), _joined(lines.jobs))


def _of_batch(history: Invented, piece: int) -> Piece:
    batch, body = history.batch(piece)
    numbers = history.numbers(piece)
    images = [
        _image_line(ImageRow.of_line(batch, line, history.at(number)), chunk_of(number))
        for number, line in zip(numbers, history.lines(piece), strict=True)
    ]

    at, meta = history.at(numbers[0]), batch.metadata
    owner = meta.labels.get(OWNER_LABEL, "")
    values = (meta.uid, meta.name, owner, at, at, at + EVICTED_AFTER, 1, json.dumps(body))
    return Piece(_joined(images), batches=copy_line(values).encode())


def _image_line(row: ImageRow, chunk: int) -> str:
    columns = IMAGES.split()[:-1]
    search = vector_text(chunk, row.words, row.owner, row.reuse_key)
    return copy_line([*(getattr(row, name) for name in columns), search])


def _job_line(job: JobRow) -> str:
    evicted_at = job.finished_at + EVICTED_AFTER
    values = {name: getattr(job, name, None) for name in JOBS.split()} | {"evicted_at": evicted_at}
    return copy_line(list(values.values()))


def _joined(lines: Iterable[str]) -> bytes:
    return "".join(lines).encode()
