"""Fill the tables with an invented history."""

import time
from collections.abc import Callable

from postgres import Postgres

from bench.history import copying, server
from bench.history.invented import PIECE_ROWS, Invented

SAY_SECONDS = 30.0
"""Seconds between two lines about the progress."""


def fill(postgres: Postgres, history: Invented, say: Callable[[str], None]) -> float:
    """Copy a history into the empty tables; return how many seconds it took."""
    started, said = time.monotonic(), time.monotonic()
    with server.connected(postgres) as connection:
        for number, piece in enumerate(copying.pieces(history)):
            for statement, data in piece.copies():
                with connection.cursor().copy(statement.encode()) as copy:
                    copy.write(data)

            if time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                say(f"  {number * PIECE_ROWS:,} of {history.rows:,} rows, {said - started:.0f} s")

        for statement in copying.final_statements(history):
            connection.execute(statement.encode())
        connection.execute("CHECKPOINT")

    return time.monotonic() - started
