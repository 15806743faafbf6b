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
    """An attempt under way. It ends when its task ends, which may be waiting for a hung thread."""

    assignment: Assignment
    task: asyncio.Future[None]
    started_at: float
    """Start time in seconds, by the event loop's clock."""
    timeout_seconds: float
    """The ImageJob's own timeout, or else the Describer's."""
    released: bool = False
    """Whether the assignment is over: the ImageJob was reassigned, or its outcome is committed."""
