"""Check regularly whether the history can be read, so that no probe has to wait for it."""

import asyncio
import logging
from collections import Counter

from vision_node_contract.history.database import HistoryError

from ...background import BackgroundTask
from ..storage_health import NOT_CHECKED, OK, DependencyState
from .history_problems import history_problem
from .reader import HistoryReader

log = logging.getLogger(__name__)

PAUSE_SECONDS = 3.0
"""Number of seconds between two checks."""


class HistoryCheck(BackgroundTask):
    """Reads from the history regularly.

    It has a task of its own, so that a database that hangs delays no other check.
    """

    def __init__(self, history: HistoryReader) -> None:
        super().__init__("The check of the history has stopped.")
        self.state = DependencyState(NOT_CHECKED, "The history has not been checked yet.")
        self._history = history

    @property
    def outcomes(self) -> Counter[str]:
        """Number of all requests to the history, by outcome."""
        return self._history.outcomes

    async def check_once(self) -> None:
        """Check the history, and record the outcome."""
        before = self.state.state
        try:
            await self._history.check()
        except HistoryError as error:
            problem = history_problem(error)
            self.state = DependencyState(problem.reason, problem.detail)
            if problem.reason != before:
                log.warning("history: %s: %s", error.reason, error)
        else:
            self.state = DependencyState(OK)

    async def _run(self) -> None:
        while True:
            await self.check_once()
            await asyncio.sleep(PAUSE_SECONDS)
