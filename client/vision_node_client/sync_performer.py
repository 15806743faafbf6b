"""Perform the steps of flows in the calling thread."""

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, TypeVar

import httpx

from .protocol.messages import Reply, Request
from .protocol.running import Running
from .protocol.steps import (
    Do,
    Flow,
    Give,
    NextChunk,
    Open,
    Parallel,
    Send,
    Sleep,
    Step,
)
from .transport import build_request, reply_of, transport_error

T = TypeVar("T")


def run(http: httpx.Client, flow: Flow[T]) -> T:
    """Perform all steps of a flow, and return its value."""
    running = Running(flow)
    with closing(Performer(http)) as performer:
        while running.step is not None:
            performer.advance(running, running.step)

    return running.value


def iterate(http: httpx.Client, flow: Flow[None]) -> Iterator[Any]:
    """Perform all steps of a flow, and yield what it gives."""
    running = Running(flow)
    with closing(Performer(http)) as performer:
        while running.step is not None:
            if isinstance(running.step, Give):
                yield running.step.value
                running.send(None)
            else:
                performer.advance(running, running.step)


class Performer:
    """Performs the steps of one flow in the calling thread."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._stream: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())

    def advance(self, running: Running[Any], step: Step) -> None:
        """Perform the step of a flow, and let the flow go on."""
        try:
            result = self.perform(step)
        except Exception as error:  # noqa: BLE001 (the flow handles or raises it)
            running.throw(error)
        else:
            running.send(result)

    def perform(self, step: Step) -> Any:
        """Perform a step, and return its result."""
        match step:
            case Send(request):
                return self._send(request)
            case Open(request):
                return self._open(request)
            case NextChunk():
                with self._errors():
                    return next(self._chunks, b"")
            case Sleep(seconds):
                time.sleep(seconds)
            case Do(function):
                return function()
            case Parallel(flows, limit):
                _run_in_threads(self._http, flows, limit)
            case Give():
                raise TypeError("only iterators can give values")

        return None

    def close(self) -> None:
        """Close the open response, if there is one."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _send(self, request: Request) -> Reply:
        with self._errors():
            response = self._http.send(build_request(self._http, request))

        return reply_of(response, response.content)

    def _open(self, request: Request) -> Reply:
        self.close()
        with self._errors():
            built = build_request(self._http, request, is_stream=True)
            response = self._stream = self._http.send(built, stream=True)
            if response.is_success:
                self._chunks = response.iter_bytes()
                return reply_of(response, b"")
            return reply_of(response, response.read())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.RequestError as error:
            raise transport_error(error, self._http) from error


def _run_in_threads(http: httpx.Client, flows: Iterable[Flow[None]], limit: int) -> None:
    """Run flows in up to `limit` threads. After an error, no further flow begins."""
    waiting, lock, stopped = iter(flows), threading.Lock(), threading.Event()

    def work() -> None:
        try:
            while not stopped.is_set():
                with lock:
                    flow = next(waiting, None)
                if flow is None:
                    return
                run(http, flow)
        finally:
            stopped.set()

    with ThreadPoolExecutor(limit) as pool:
        futures = [pool.submit(work) for _ in range(limit)]
        try:
            for future in futures:
                future.result()
        finally:
            # After Ctrl-C, the threads only finish what they are sending.
            stopped.set()
