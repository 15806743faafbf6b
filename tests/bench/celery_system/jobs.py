"""Data that the API and the workers share: jobs and results in SQLite, and images as files."""

import sqlite3
import threading
import time
from pathlib import Path

BUSY_SECONDS = 10.0
"""Maximum seconds to wait while another of the three processes writes to the database."""

UNFINISHED = "status IN ('queued', 'processing')"
FINISHED = "status IN ('done', 'failed')"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, describer TEXT NOT NULL, created REAL NOT NULL,
    started REAL, completed REAL, attempts INTEGER NOT NULL DEFAULT 0, result TEXT, error TEXT
);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status);
"""


class Jobs:
    """The jobs and images in one data folder."""

    def __init__(self, folder: Path) -> None:
        self._images = folder / "images"
        self._images.mkdir(parents=True, exist_ok=True)
        self._file = folder / "jobs.sqlite"
        self._local = threading.local()
        self._db.executescript(_SCHEMA)

    @property
    def _db(self) -> sqlite3.Connection:
        """This thread's connection."""
        if not hasattr(self._local, "db"):
            db = sqlite3.connect(self._file, isolation_level=None, timeout=BUSY_SECONDS)
            # With a write-ahead log, readers and the writer don't wait for each other. Commits are
            # still as durable as they are by default.
            db.execute("PRAGMA journal_mode=WAL")
            self._local.db = db

        found: sqlite3.Connection = self._local.db
        return found

    def add(self, job: str, describer: str, image: bytes) -> None:
        """Store the image, and then the job with the status `queued`."""
        self._image(job).write_bytes(image)
        row = (job, "queued", describer, time.time())
        self._db.execute(
            "INSERT INTO jobs (id, status, describer, created) VALUES (?, ?, ?, ?)", row
        )

    def start(self, job: str) -> tuple[str, bytes]:
        """Record the start of an attempt, and return the job's describer and image."""
        now = time.time()
        (describer,) = self._db.execute(
            "UPDATE jobs SET status = 'processing', started = ?, attempts = attempts + 1"
            " WHERE id = ? RETURNING describer",
            (now, job),
        ).fetchone()
        return describer, self._image(job).read_bytes()

    def finish(self, job: str, *, result: str | None, error: str | None) -> None:
        """Store the result of a job, or its error."""
        row = ("failed" if error else "done", time.time(), result, error, job)
        self._db.execute(
            "UPDATE jobs SET status = ?, completed = ?, result = ?, error = ? WHERE id = ?", row
        )

    def add_finished(
        self, job: str, describer: str, *, result: str | None, error: str | None
    ) -> None:
        """Store a job that has no image here, with its result or error, in one transaction.

        A task that is repeated, because its worker died, replaces the row.
        """
        now = time.time()
        row = (job, "failed" if error else "done", describer, now, now, result, error)
        self._db.execute(
            "INSERT OR REPLACE INTO jobs (id, status, describer, created, completed, attempts,"
            " result, error) VALUES (?, ?, ?, ?, ?, 1, ?, ?)",
            row,
        )

    def status(self, job: str) -> dict[str, object] | None:
        """Return the job's state without its result, or None if the job does not exist."""
        names = "id, status, describer, attempts, created, started, completed, error"
        row = self._db.execute(f"SELECT {names} FROM jobs WHERE id = ?", (job,)).fetchone()  # noqa: S608
        return dict(zip(names.split(", "), row, strict=True)) if row else None

    def result(self, job: str) -> str | None:
        """Return the job's result as JSON, or None if there is none."""
        row = self._db.execute("SELECT result FROM jobs WHERE id = ?", (job,)).fetchone()
        return str(row[0]) if row and row[0] else None

    def count(self, condition: str) -> int:
        """Return the number of jobs for which a SQL condition is true."""
        (found,) = self._db.execute(f"SELECT count(*) FROM jobs WHERE {condition}").fetchone()  # noqa: S608
        return int(found)

    def clear(self) -> None:
        """Delete all jobs and their images."""
        self._db.execute("DELETE FROM jobs")
        for image in self._images.iterdir():
            image.unlink()

    def _image(self, job: str) -> Path:
        return self._images / job
