"""The steps of a flow. A client performs each of them, synchronously or asynchronously."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from .messages import Request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request. The result is the Reply."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request, and leave the response open.

    The result is the Reply. Its body is empty if it is a success; NextChunk reads it. A response
    that is still open is closed first.
    """

    request: Request


@dataclass(frozen=True, slots=True)
class NextChunk:
    """Read from the open response. The result is bytes, which are empty at the end."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait. There is no result."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Do:
    """Call a function that reads files, and so could block an event loop. The result is its."""

    function: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Parallel:
    """Run flows at the same time. There is no result.

    The first error ends the step: flows that have not begun are left out.
    """

    flows: "Iterable[Flow[None]]"
    limit: int
    """Maximum number of flows that run at the same time."""


@dataclass(frozen=True, slots=True)
class Give:
    """Give a value to the caller of an iterator. There is no result."""

    value: Any


Step = Send | Open | NextChunk | Sleep | Do | Parallel | Give

Flow = Generator[Step, Any, T]
"""A generator that yields steps, is sent the result of each, and returns a value.

If a step fails, its error is raised at the `yield`. Connections that fail or time out raise
TransportError.
"""


class TransportError(Exception):
    """A request got no complete response. The message says why."""
