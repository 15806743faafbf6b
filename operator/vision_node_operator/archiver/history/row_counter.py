"""Count rows and marks, so that a database that was restored from a copy is noticed."""

from psycopg import AsyncConnection
from vision_node_contract.history.database import HistoryUnavailableError

RESTORED = "HistoryRestored"
"""Reason of errors because the database has forgotten what this process has written."""


class RowCounter:
    """The number of rows and marks that were ever written, as far as this process knows.

    The database has the number in the table owner, and each transaction that writes rows or marks
    adds to it. It only grows, unless the database is restored from a copy, or a standby that lacks
    the last commits takes over. Nothing may be written then before HistoryLink has compared the
    number with its copy in the bucket: new rows would let it grow beyond the copy.
    """

    def __init__(self) -> None:
        self.known = 0
        """The highest number that a transaction of this process has committed."""
        self.restarts = 0
        """How often a lower number was accepted, each time because the database was restored."""

    def require(self, written: int) -> None:
        """Check the number in the database.

        Raises:
            HistoryUnavailableError: It is lower than before (HistoryRestored).
        """
        if written < self.known:
            raise HistoryUnavailableError(
                f"the database has counted {written} rows and evictions, but had counted"
                f" {self.known} before",
                RESTORED,
            )

    async def add(self, connection: AsyncConnection, number: int, resource_version: int = 0) -> int:
        """Add to the number in the database, and return it. Call note() after the commit.

        Args:
            connection: The connection, in a transaction.
            number: Number of rows and marks that the transaction has written.
            resource_version: The newest resourceVersion of the ImageJobs in these rows.

        Raises:
            HistoryUnavailableError: The number was lower than before (HistoryRestored), so the
                transaction must not be committed.
        """
        cursor = await connection.execute(
            "UPDATE owner SET written = written + %s,"
            " resource_version = greatest(resource_version, %s) RETURNING written",
            (number, resource_version),
        )
        row = await cursor.fetchone()
        written = int(row[0]) if row else number
        self.require(written - number)
        return written

    async def check(self, connection: AsyncConnection, restarts: int) -> None:
        """Check the number in the database after reading marks.

        Args:
            connection: The connection that has read them.
            restarts: The value of `restarts` before they were read.

        Raises:
            HistoryUnavailableError: It is lower than before, or a lower one was accepted meanwhile
                (HistoryRestored), so marks that were written may be missing.
        """
        cursor = await connection.execute("SELECT written FROM owner")
        row = await cursor.fetchone()
        self.require(int(row[0]) if row else 0)
        if self.restarts != restarts:
            raise HistoryUnavailableError(
                "the database was restored while marks of evictions were read", RESTORED
            )

    def note(self, written: int) -> None:
        """Note the number after a commit."""
        self.known = max(self.known, written)

    def restart(self, written: int) -> None:
        """Accept a lower number, because the restore was noticed."""
        self.known = written
        self.restarts += 1
