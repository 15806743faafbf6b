"""Delay the launches of a describer's workers after failures, and remember why they failed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from .object_versions import LONG_AGO
from .problems import Problem

LONGEST_BACKOFF_SECONDS = 60
"""Longest pause after consecutive failed launches. The first pause is two seconds, and the pause
doubles with each failure."""

PROBLEM_KEPT = timedelta(minutes=2)
"""How long the last problem counts as current. While workers are missing, at least two launches are
attempted in this time. So if the last problem is older, it has been solved."""


@dataclass
class LaunchBackoff:
    """The failed launches of one describer's workers."""

    failures: int = 0
    """Number of consecutive failed launches."""
    until: datetime = LONG_AGO
    """Earliest time of the next launch."""
    problem: Problem | None = None
    """Why the last launch failed."""
    problem_at: datetime = LONG_AGO

    def record_success(self) -> None:
        """Record that a worker served for long enough or completed its work."""
        self.failures, self.problem = 0, None

    def record_failure(self, problem: Problem, now: datetime) -> None:
        """Record that a worker ended too early, and delay the next launch."""
        self.failures += 1
        pause = min(LONGEST_BACKOFF_SECONDS, 2 ** min(self.failures, 6))
        self.until = now + timedelta(seconds=pause)
        self.record_problem(problem, now)

    def record_problem(self, problem: Problem, now: datetime) -> None:
        """Record why a launch failed, such as the API server's refusal to create the Job."""
        self.problem, self.problem_at = problem, now

    def record_created(self) -> None:
        """Record that a Job was created, so the API server no longer refuses Jobs."""
        if not self.failures:
            self.problem = None

    def is_active(self, now: datetime) -> bool:
        """Return whether the next launch has to wait because of recent failures."""
        return self.until > now

    def current_problem(self, now: datetime) -> Problem | None:
        """Return why the last launch failed; None if no launch has failed recently."""
        return self.problem if now - self.problem_at < PROBLEM_KEPT else None
