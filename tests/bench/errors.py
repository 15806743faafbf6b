"""Errors that end a benchmark, and the exit status that they lead to."""

import asyncio
import signal
import sys
import types
from collections.abc import Callable

from cluster.errors import ClusterError

INTERRUPTED = 130


class BenchError(Exception):
    """The benchmark has no valid result, for example because a job failed or timed out."""


def exit_status(action: Callable[[], None]) -> int:
    """Run a benchmark, and return its exit status. SIGTERM ends it in the same way as Ctrl-C."""
    # Shells ignore SIGINT for programs that they start in the background, and Python keeps that.
    # Then SIGTERM would do nothing, either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _end)
    try:
        action()
    except (BenchError, ClusterError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED

    return 0


def _end(_signal: int, _frame: types.FrameType | None) -> None:
    # asyncio cancels the main task on SIGINT. An exception that is raised here could end any
    # coroutine between two steps.
    signal.raise_signal(signal.SIGINT)
