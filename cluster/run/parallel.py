"""Run steps in parallel, and stop all of them when one fails."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from cluster.run import shell

T = TypeVar("T")

# Maximum number of threads in a block. It may exceed the number of cores, because steps mostly wait
# for programs.
MAX_THREADS = 16


class Result(Generic[T]):
    """The future result of a started step."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def get(self) -> T:
        """Wait for the step and return its result. Raises the step's error if it failed."""
        return self._future.result()


class Parallel:
    """Runs functions in parallel. Leaving the block waits for them and raises the first error."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(MAX_THREADS)
        self._futures: list[Future[object]] = []
        self._first_error: BaseException | None = None

    def start(self, function: Callable[[], T]) -> Result[T]:
        """Start the function in a thread, and return its future result."""
        # The function runs in the caller's context, which has the log of the current step.
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
                # The user should see the failure now and not minutes later, when other steps end.
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
            # The first error may come from a step that was stopped because another step failed.
            cause = shell.cause_of_stop()
            if threading.current_thread() is threading.main_thread():
                # After the outermost block, no step is running, and cleanup may run programs.
                shell.resume()

        if self._first_error:
            raise cause or self._first_error

    def _wait(self) -> None:
        """Wait for the functions.

        Waiting for their threads would not be enough: if Ctrl-C interrupts the join of a thread,
        Python does not wait for that thread again.
        """
        try:
            wait(self._futures)
        except KeyboardInterrupt:
            shell.stop_all()
            wait(self._futures)
            raise
        finally:
            self._pool.shutdown()
