"""Repeat requests that may be repeated. This is the only layer that repeats anything."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..errors import UnreachableError, VisionNodeError
from .messages import Call, Reply, T
from .problems import is_problem, problem_of
from .steps import Flow, Open, Send, Sleep, TransportError

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
"""Statuses of overload and of servers that are restarted. An unexpected error (500) would only be
repeated."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often to repeat a request, and when.

    The pauses grow exponentially. They are random, so that clients that failed together do not
    return together.
    """

    attempts: int = 6
    """Maximum number of times a request is sent. With the default pauses, the last one is sent
    about 15 s after the first one. A server's pod is replaced in this time."""
    first_seconds: float = 0.5
    """Mean of the first pause, in seconds."""
    max_seconds: float = 30.0
    """Maximum of a pause, in seconds, and of a Retry-After that is obeyed. With a longer one, the
    refusal is returned instead."""
    randomness: Callable[[], float] = field(default=random.random, repr=False)
    """Returns a number from 0 to 1."""

    def pause(self, failures: int, retry_after: float = 0) -> float | None:
        """Return the seconds until the next attempt; None if there should be none.

        Args:
            failures: Number of failures so far, at least 1.
            retry_after: The pause that the server asks for, in seconds.
        """
        if failures >= self.attempts or retry_after > self.max_seconds:
            return None

        # From half of the mean to one and a half of it.
        backoff = self.first_seconds * 2.0 ** (failures - 1) * (0.5 + self.randomness())
        # Other clients were told the same time, too.
        obeyed = retry_after * (1 + self.randomness() / 10)
        return min(max(backoff, obeyed), self.max_seconds)


class Attempts:
    """Counts how often a request has failed in a row."""

    def __init__(self, retries: Retries, *, may_repeat: bool = True) -> None:
        self._retries = retries
        self._may_repeat = may_repeat
        self._failures = 0
        self.has_failed = False
        """Whether any request has failed, so that the server may have handled it."""

    def succeeded(self) -> None:
        """Begin to count at 0 again."""
        self._failures = 0

    def pause_after(self, error: VisionNodeError, retry_after: float = 0) -> Sleep:
        """Return how long to wait before the request is repeated.

        Raises:
            VisionNodeError: `error`, if the request must not be repeated.
        """
        self._failures += 1
        self.has_failed = True
        pause = self._retries.pause(self._failures, retry_after) if self._may_repeat else None
        if pause is None:
            raise error

        return Sleep(pause)


def send_call(call: Call[T], retries: Retries) -> Flow[T]:
    """Return what the server responds; repeat the request if that is allowed.

    Raises:
        ProblemError: The server refused the request.
        UnreachableError: The server did not respond.
        ProtocolError: The response can't be understood.
    """
    attempts = Attempts(retries, may_repeat=call.request.is_repeatable)
    return call.read((yield from send(Send(call.request), attempts)))


def send(step: Send | Open, attempts: Attempts) -> Flow[Reply]:
    """Return a successful reply; repeat the request if that is allowed.

    A repeated request does not wait, because a proxy may have cut the first one for its waiting.

    Raises:
        ProblemError: The server refused the request.
        UnreachableError: The server did not respond.
    """
    while True:
        try:
            reply: Reply = yield step
        except TransportError as error:
            pause = attempts.pause_after(UnreachableError(str(error)))
        else:
            if reply.is_success:
                return reply
            pause = _pause_after(reply, attempts)

        yield pause
        step = replace(step, request=step.request.waiting(0))


def _pause_after(reply: Reply, attempts: Attempts) -> Sleep:
    """Return how long to wait after a refusal.

    Raises:
        ProblemError: The refusal, if it is final.
    """
    problem = problem_of(reply)
    # With 502, the server itself says that an object's content is wrong, which would not change.
    is_final = reply.status not in RETRIED_STATUSES or (reply.status == 502 and is_problem(reply))
    if is_final:
        raise problem

    return attempts.pause_after(problem, problem.retry_after or 0)
