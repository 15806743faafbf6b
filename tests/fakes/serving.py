"""Serve an ASGI application in a thread, on a loopback socket."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

_START_STOP_SECONDS = 10.0


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve `app` and yield its URL, `http://127.0.0.1:<port>`. On exit, abort open requests."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            app, log_level="warning", lifespan="off", timeout_graceful_shutdown=0
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        _wait_until_started(server)

        yield f"http://127.0.0.1:{listening.getsockname()[1]}"

        server.should_exit = server.force_exit = True
        thread.join(_START_STOP_SECONDS)


def _wait_until_started(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + _START_STOP_SECONDS
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.005)
