"""Connect to the database of the history, and tell its errors apart."""

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

log = logging.getLogger(__name__)

CONNECT_SECONDS = 3.0
"""Time limit for a connection, in seconds."""

STATEMENT_SECONDS = 2.0
"""Time limit for one statement of the API, in seconds."""

ANSWER_SECONDS = 5.0
"""Time limit for a transaction of the API, in seconds. The server enforces the limit of a statement
itself, but a server that hangs doesn't."""

VANISHED_MS = 10_000
"""Time after which an unacknowledged packet ends a connection, in milliseconds. Without a limit,
the kernel waits a quarter of an hour for a node that has vanished."""

KEEPALIVE_IDLE_SECONDS = 20
"""Silence after which the kernel asks whether the server is still there, in seconds. A client that
waits for an answer sends nothing, so VANISHED_MS alone notices nothing. A migration may wait for an
hour, and by default, the kernel asks after two."""

KEEPALIVE_INTERVAL_SECONDS = 10
"""Time until the question is asked again, in seconds. An answer takes far less."""

KEEPALIVE_COUNT = 3
"""Number of unanswered questions that end a connection, so that a server that has vanished is
noticed within a minute. Linux ends it after the first one, because VANISHED_MS has passed then."""

# A client that vanishes during a transaction, with its node, must not keep its locks for hours.
#
# There is an index for each statement, but the planner reads a whole table if its statistics are
# old, as after a restore. It would also compile a statement that seems costly, which takes longer
# than the statement itself.
#
# Times are in UTC in responses and messages, whatever the server's time zone is.
_SETTINGS = """
SELECT set_config('search_path', %s, true), set_config('statement_timeout', %s, true),
    set_config('idle_in_transaction_session_timeout', %s, true),
    set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),
    set_config('timezone', 'UTC', true)
"""

WAITING = 256
"""Maximum number of requests that wait for each connection. Those beyond it fail at once. A request
usually takes a millisecond or two, so the last one waits for half a second."""

BUSY = "HistoryBusy"
"""The reason of errors because too many requests are waiting. It does not say whether the database
answers."""

_PORTS = re.compile(r"[0-9,]*")

T = TypeVar("T")


class HistoryError(Exception):
    """A request to the history failed. docs/history.md explains each `reason`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class HistoryUnavailableError(HistoryError):
    """The database can't be reached, does not answer, is full, or refuses all requests."""

    def __init__(self, message: str, reason: str = "HistoryUnavailable") -> None:
        super().__init__(reason, message)


class RowRefusedError(HistoryError):
    """The database refused what a row contains. Other rows may be fine."""

    def __init__(self, message: str) -> None:
        super().__init__("RowRefused", message)


ROW_ERRORS = (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded)
"""Errors that a row causes (SQLSTATE classes 22 and 23, and 54000). It would fail again."""

REASONS: dict[type[psycopg.Error], str] = {
    errors.DiskFull: "DatabaseFull",
    errors.InsufficientPrivilege: "DatabaseRightsMissing",
    errors.InvalidSchemaName: "HistoryNotReady",
    errors.UndefinedTable: "HistoryNotReady",
    errors.ReadOnlySqlTransaction: "DatabaseReadOnly",
    errors.QueryCanceled: "HistoryTooSlow",
}
"""Reasons of errors that concern all requests; all others have HistoryUnavailable."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where the database is. User and password are in PGUSER and PGPASSWORD, or in the URL.

    libpq reads these variables, and all its others, itself:
    https://www.postgresql.org/docs/current/libpq-envars.html
    """

    url: str

    @classmethod
    def from_env(cls) -> Self | None:
        """Read DATABASE_URL; return None if the release has no database.

        Raises:
            ValueError: DATABASE_URL is invalid. The message does not contain it, because it may
                have a password.
        """
        url = os.environ.get("DATABASE_URL", "")
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise ValueError(
                "DATABASE_URL is invalid: it must be like postgresql://host:5432/name?sslmode=…"
            ) from None

        # libpq would look for a host or port that is in truth a part of the password, and log it.
        if "@" in str(parts.get("host")) or not _PORTS.fullmatch(str(parts.get("port") or "")):
            raise ValueError(
                "DATABASE_URL is invalid: in a URL, a user or password must have %40 instead of @,"
                " %2F instead of /, %3F instead of ? and %25 instead of %"
            )

        return cls(url) if url else None


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a pool of connections."""

    connections: int = 4
    """Maximum number of connections. PostgreSQL allows 100 in total by default."""
    statement_seconds: float = STATEMENT_SECONDS
    answer_seconds: float = ANSWER_SECONDS
    """Time limit for a transaction, waiting for a connection included."""


class Database:
    """A pool of connections to one release's schema.

    It works behind PgBouncer in transaction mode: nothing is set for longer than a transaction.
    """

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection], schema: str, limits: Limits
    ) -> None:
        self.schema = schema
        self._pool = pool
        self._limits = limits
        self._abandoned: set[asyncio.Task[object]] = set()
        """Transactions whose callers have given up. Each has a connection of the pool or ends soon,
        so they are few."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: DatabaseSettings, schema: str, limits: Limits = Limits()
    ) -> AsyncIterator[Self]:
        """Open a pool. It connects in the background, so the database may be unavailable."""
        pool = AsyncConnectionPool[AsyncConnection](
            settings.url,
            min_size=1,
            max_size=limits.connections,
            # A database that is away is noticed soon, even if statements may take long.
            timeout=min(limits.answer_seconds, ANSWER_SECONDS),
            max_waiting=WAITING * limits.connections,
            # A database that comes back is noticed within seconds.
            reconnect_timeout=CONNECT_SECONDS,
            kwargs={
                "application_name": "vision-node",
                "connect_timeout": int(CONNECT_SECONDS),
                "tcp_user_timeout": VANISHED_MS,
                "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
                "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
                "keepalives_count": KEEPALIVE_COUNT,
                # PgBouncer gives each transaction another connection, which lacks the statement.
                "prepare_threshold": None,
            },
            open=False,
            check=AsyncConnectionPool.check_connection,
        )
        async with pool:
            yield cls(pool, schema, limits)

    async def run(
        self, work: Callable[[AsyncConnection], Awaitable[T]], *, seconds: float | None = None
    ) -> T:
        """Call `work` in a transaction, which is committed if it succeeds; return its result.

        Args:
            work: What to do.
            seconds: Time limit for the transaction and its statements, instead of the pool's.

        Raises:
            HistoryUnavailableError: The database does not answer, or refused the request.
            RowRefusedError: The database refused what a row contains.
        """
        limits = self._limits
        if seconds is not None:
            limits = replace(limits, statement_seconds=seconds, answer_seconds=seconds)
        task: asyncio.Task[T] = asyncio.create_task(self._transact(work, limits))
        try:
            await asyncio.wait({task}, timeout=limits.answer_seconds)
        finally:
            if not task.done():
                self._abandon(task)

        if not task.done():
            raise HistoryUnavailableError(
                f"the database did not answer within {limits.answer_seconds:g} s"
            )

        return task.result()

    def _abandon(self, task: asyncio.Task[T]) -> None:
        """Cancel a transaction without waiting for its end, which may take seconds."""
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[T]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.debug("a transaction that nobody waited for ended with: %s", error)

    async def _transact(self, work: Callable[[AsyncConnection], Awaitable[T]], limits: Limits) -> T:
        try:
            async with self._pool.connection() as connection, connection.transaction():
                times = (limits.statement_seconds, limits.answer_seconds)
                values = [f"{seconds * 1000:.0f}" for seconds in times]
                await connection.execute(_SETTINGS, (self.schema, *values))
                return await work(connection)
        except ROW_ERRORS as error:
            raise RowRefusedError(kind_of(error)) from error
        except TooManyRequests as error:
            raise HistoryUnavailableError("too many requests are waiting", BUSY) from error
        except PoolTimeout as error:
            raise HistoryUnavailableError("the database accepts no connection") from error
        except psycopg.Error as error:
            reason = next(
                (it for kind, it in REASONS.items() if isinstance(error, kind)),
                "HistoryUnavailable",
            )
            raise HistoryUnavailableError(message_of(error), reason) from error


def kind_of(error: psycopg.Error) -> str:
    """Return what kind of error it is. The server's message may quote what a row contains."""
    return f"{type(error).__name__} (SQLSTATE {error.sqlstate})"


def message_of(error: psycopg.Error) -> str:
    """Return the first line of the message of an error that no row caused."""
    return error.diag.message_primary or (str(error).splitlines() or [type(error).__name__])[0]
