"""Parallel steps, which all end when one fails."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from cluster.run import shell

T = TypeVar("T")

# More threads than cores, because steps mostly wait for programs.
MAX_THREADS = 16


class Result(Generic[T]):
    """The future result of a started step."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def get(self) -> T:
        """Wait for the result. Raises what the step raised."""
        return self._future.result()


class Parallel:
    """Run functions in parallel; leaving the block waits for all and raises the first error."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(MAX_THREADS)
        self._futures: list[Future[object]] = []
        self._first_error: BaseException | None = None

    def start(self, function: Callable[[], T]) -> Result[T]:
        """Start the function at once."""
        # It runs in the caller's context, which has the log of the step that it is part of.
        context = contextvars.copy_context()
        future = self._pool.submit(context.run, self._run, function)
        self._futures.append(cast("Future[object]", future))
        return Result(future)

    def _run(self, function: Callable[[], T]) -> T:
        try:
            return function()
        except BaseException as error:
            if self._first_error is None:
                self._first_error = error
                # A failure should show at once, not after the minutes that another build takes.
                shell.stop_all(error)

            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._wait()
        finally:
            # A step that was stopped because another one failed may have reported it earlier.
            cause = shell.cause_of_stop()
            if threading.current_thread() is threading.main_thread():
                # This is the outermost block: no step is running, and cleanup may need programs.
                shell.resume()

        if self._first_error:
            raise cause or self._first_error

    def _wait(self) -> None:
        """Wait for the functions.

        Waiting for their threads would not do: if Ctrl-C interrupts the join of a thread, Python
        does not wait for it again.
        """
        try:
            wait(self._futures)
        except KeyboardInterrupt:
            shell.stop_all()
            wait(self._futures)
            raise
        finally:
            self._pool.shutdown()
