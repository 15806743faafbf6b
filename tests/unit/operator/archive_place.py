"""A namespace, a bucket and a database in which tests run an archiver for single ImageJobs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from fakes.job_api import IDENTITY, NAMESPACE, JobApi
from fakes.s3 import RELEASE_ID, S3
from postgres import Postgres
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import Kube
from vision_node_contract.history.database import Database
from vision_node_contract.history.schema import schema_name
from vision_node_operator.archiver.counts import JobCounts
from vision_node_operator.archiver.history.link import Surroundings
from vision_node_operator.archiver.history.store import LIMITS
from vision_node_operator.archiver.image_jobs import history_jobs
from vision_node_operator.archiver.jobs.history_jobs import HistoryJobs
from vision_node_operator.archiver.settings import HistorySettings, Settings
from vision_node_operator.runtime.storage_ownership import StorageOwnership

SCHEMA = schema_name(RELEASE_ID)
IMAGES, RESULTS = f"images/{RELEASE_ID}/", f"results/{RELEASE_ID}/"


@dataclass
class Place:
    """Where an archiver works."""

    api: JobApi
    kube: Kube
    s3: S3
    bucket: Bucket
    postgres: Postgres
    database: str
    history: HistorySettings
    _connection: "psycopg.Connection | None" = None

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query; an empty list if the tables don't exist yet."""
        try:
            return self._cursor(query).fetchall()
        except psycopg.errors.UndefinedTable:
            return []

    def execute(self, statement: str) -> None:
        """Execute a statement in the release's schema."""
        self._cursor(statement)

    def close(self) -> None:
        """Close the connection of the test, if it has one."""
        if self._connection is not None:
            self._connection.close()

    def _cursor(self, statement: str) -> "psycopg.Cursor[tuple[Any, ...]]":
        # Tests ask every few milliseconds, and a new connection each time would take as long.
        if self._connection is not None and not self._connection.closed:
            try:
                return self._connection.execute(statement.encode())
            except psycopg.OperationalError:
                if not self._connection.closed:
                    raise

        url, options = self.postgres.url(self.database), f"-csearch_path={SCHEMA}"
        self._connection = psycopg.connect(url, options=options, autocommit=True)
        self._connection.prepare_threshold = None  # migrations change what queries return
        return self._connection.execute(statement.encode())

    @property
    def names(self) -> list[str]:
        """The names of the archived jobs."""
        return [name for (name,) in self.rows("SELECT name FROM jobs ORDER BY name")]

    @property
    def evicted(self) -> list[str]:
        """The names of the evicted jobs."""
        query = "SELECT name FROM jobs WHERE evicted_at IS NOT NULL ORDER BY name"
        return [name for (name,) in self.rows(query)]

    def create_done(self, name: str, age: float = 0, **parts: Any) -> str:
        """Create a finished ImageJob with an image that ended `age` seconds ago; return its uid."""
        uid = self.api.create(name, **parts)
        self.s3.put(self.api.bodies[name]["spec"]["image"]["key"])
        self.api.finish(name, datetime.now(UTC) - timedelta(seconds=age))
        return uid

    @asynccontextmanager
    async def work(self, **changes: Any) -> AsyncIterator[HistoryJobs]:
        """Yield an archiver's work on single ImageJobs, which is not running."""
        history = replace(self.history, **changes)
        settings = Settings(NAMESPACE, IDENTITY, archives_imagejobs=True, history=history)
        ownership = StorageOwnership(self.bucket, self.kube, settings)
        around = Surroundings(self.kube, self.bucket, ownership, settings)
        async with Database.open(history.database, SCHEMA, LIMITS) as database:
            yield history_jobs(database, around, history, JobCounts())

    @asynccontextmanager
    async def archiver(self, **changes: Any) -> AsyncIterator[HistoryJobs]:
        """Run an archiver's work on single ImageJobs during the block."""
        async with self.work(**changes) as jobs:
            ownership = jobs.link.ownership
            tasks = [asyncio.create_task(it) for it in [*jobs.work(), ownership.run()]]
            try:
                yield jobs
                assert not [it for it in tasks if it.done()], "a task has ended"
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
