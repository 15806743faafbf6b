"""Steps side by side, where the first failure ends them all."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from cluster.run import shell

T = TypeVar("T")

# Steps wait for programs, not for Python: more threads than cores are right.
MOST_AT_ONCE = 16


class Result(Generic[T]):
    """What a started step will have returned."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def get(self) -> T:
        """Wait for it; raises what the step raised."""
        return self._future.result()


class Parallel:
    """Runs functions side by side; leaving the block waits for all and raises the first error."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE)
        self._futures: list[Future[object]] = []
        self._first_error: BaseException | None = None

    def start(self, function: Callable[[], T]) -> Result[T]:
        """Begin with the function right away."""
        # With the context of the step that it is part of.
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
                # Nobody wants to wait minutes for a build to learn that another step failed.
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
            # Steps that were ended because another one failed may have been seen to fail before it.
            cause = shell.cause_of_stop()
            if threading.current_thread() is threading.main_thread():
                # The outermost block: all is quiet now, and cleaning up may need programs.
                shell.resume()

        if self._first_error:
            raise cause or self._first_error

    def _wait(self) -> None:
        """Wait for the functions, not for their threads: Python forgets a thread whose join Ctrl-C ends."""
        try:
            wait(self._futures)
        except KeyboardInterrupt:
            shell.stop_all()
            wait(self._futures)
            raise
        finally:
            self._pool.shutdown()
