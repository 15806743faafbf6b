"""The worker's record of an attempt that has not ended yet."""

import asyncio
from dataclasses import dataclass
from typing import NamedTuple


class Assignment(NamedTuple):
    """One attempt at one ImageJob."""

    name: str
    uid: str
    attempt: int


@dataclass(eq=False, slots=True)
class RunningAttempt:
    """An attempt whose task has not ended yet. The task may be waiting for a hung thread."""

    assignment: Assignment
    task: asyncio.Future[None]
    started_at: float
    """Start time in seconds, according to the event loop's clock."""
    timeout_seconds: float
    """The ImageJob's own timeout, or the Describer's if the ImageJob has none."""
    released: bool = False
    """Whether the assignment is over, because the ImageJob was reassigned or its outcome was
    committed."""
