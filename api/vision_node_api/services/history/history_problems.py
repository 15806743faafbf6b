"""Convert errors from the database of the history into problem documents."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vision_node_contract.history.database import HistoryError

from ...web.problems import Problem

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "2"
"""Retry-After, in seconds, while the database is away. It is tried again every second."""

ADMINISTRATOR_RETRY_AFTER_SECONDS = "30"
"""Retry-After, in seconds, while the database has a problem that only an administrator can fix."""

DETAILS = {
    "HistoryUnavailable": "The database with the finished jobs does not answer.",
    "HistoryNotReady": "The tables of the finished jobs don't exist yet, or are too old. The "
    "archiver creates them; if this lasts, its log has the cause.",
    "HistoryTooSlow": "The database with the finished jobs took too long. Use other or more words "
    "if this was a search.",
    "HistoryBusy": "Too many requests for finished jobs are waiting.",
    "DatabaseFull": "The database with the finished jobs is full. Enlarge its volume.",
    "DatabaseRightsMissing": "The API's user lacks rights in the database with the finished jobs. "
    "The archiver grants them; its log has the cause.",
    "DatabaseReadOnly": "The database with the finished jobs accepts no changes.",
}
"""What clients read, by reason. The database's own messages may contain addresses and names."""

TEMPORARY = frozenset({"HistoryUnavailable", "HistoryTooSlow", "HistoryBusy"})


@contextmanager
def history_problems() -> Iterator[None]:
    """Convert errors from the history into problems.

    Raises:
        Problem: 503 with one of the reasons in DETAILS.
    """
    try:
        yield
    except HistoryError as error:
        log.debug("history: %s: %s", error.reason, error)  # the checks log warnings
        raise history_problem(error) from error


def history_problem(error: HistoryError) -> Problem:
    """Return the problem for an error of the history."""
    reason = error.reason if error.reason in DETAILS else "HistoryUnavailable"
    seconds = RETRY_AFTER_SECONDS if reason in TEMPORARY else ADMINISTRATOR_RETRY_AFTER_SECONDS
    detail = f"{DETAILS[reason]} Try again later."

    return Problem(503, reason, detail, headers={"Retry-After": seconds})
