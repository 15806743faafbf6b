"""The data that API and workers share: jobs as rows of SQLite, images and results as files."""

import sqlite3
import threading
import time
from pathlib import Path

BUSY_SECONDS = 10.0
"""Maximum seconds to wait for the write of another of the three processes before failing."""

UNFINISHED = "status IN ('queued', 'processing')"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, describer TEXT NOT NULL, created REAL NOT NULL,
    started REAL, completed REAL, attempts INTEGER NOT NULL DEFAULT 0, result TEXT, error TEXT
);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status);
"""


class Jobs:
    """The jobs of one data folder."""

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
            # Readers and the writer don't wait for each other; commits stay as durable as SQLite's
            # default.
            db.execute("PRAGMA journal_mode=WAL")
            self._local.db = db

        found: sqlite3.Connection = self._local.db
        return found

    def add(self, job: str, describer: str, image: bytes) -> None:
        """Store the image, then the row."""
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
        """Record the outcome of the job."""
        row = ("failed" if error else "done", time.time(), result, error, job)
        self._db.execute(
            "UPDATE jobs SET status = ?, completed = ?, result = ?, error = ? WHERE id = ?", row
        )

    def status(self, job: str) -> dict[str, object] | None:
        """Return the job's state without its result."""
        names = "id, status, describer, attempts, created, started, completed, error"
        row = self._db.execute(f"SELECT {names} FROM jobs WHERE id = ?", (job,)).fetchone()  # noqa: S608
        return dict(zip(names.split(", "), row, strict=True)) if row else None

    def result(self, job: str) -> str | None:
        """Return the job's result as JSON, if it has one."""
        row = self._db.execute("SELECT result FROM jobs WHERE id = ?", (job,)).fetchone()
        return str(row[0]) if row and row[0] else None

    def count(self, condition: str) -> int:
        """Count the jobs that match a SQL expression."""
        (found,) = self._db.execute(f"SELECT count(*) FROM jobs WHERE {condition}").fetchone()  # noqa: S608
        return int(found)

    def clear(self) -> None:
        """Delete all jobs."""
        self._db.execute("DELETE FROM jobs")
        for image in self._images.iterdir():
            image.unlink()

    def _image(self, job: str) -> Path:
        return self._images / job
