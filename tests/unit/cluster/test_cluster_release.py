"""Tests of the check that `make up` repeats until the API is ready to accept images."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cluster.release import _readiness_problem

Serve = Callable[[int, bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server with a fixed status and body and returns its URL."""
    servers: list[HTTPServer] = []

    def run(status: int, body: bytes) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        server = HTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()

        return f"http://127.0.0.1:{server.server_port}/readyz"

    yield run

    for server in servers:
        server.shutdown()
        server.server_close()


READY = {"status": "ready", "kubernetes": "ok", "storage": "ok", "details": {}}


def readiness_problem(url: str) -> str:
    return _readiness_problem(urllib.request.build_opener(urllib.request.ProxyHandler({})), url)


def test_api_is_ready_if_all_dependencies_answer(serve: Serve) -> None:
    assert readiness_problem(serve(200, json.dumps(READY).encode())) == ""


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, json.dumps({**READY, "storage": "BucketNotFound"}).encode(), "BucketNotFound"),
        (200, json.dumps({**READY, "kubernetes": "NotChecked"}).encode(), "NotChecked"),
        (503, b"{}", "503"),
        (200, b"<html>", "Expecting value"),
        (200, b"[]", "[]"),
        (200, b"{}", "{}"),
    ],
)
def test_readiness_problem_is_reported(
    serve: Serve, status: int, body: bytes, expected: str
) -> None:
    assert expected in readiness_problem(serve(status, body))


def test_refused_connection_is_reported() -> None:
    assert "refused" in readiness_problem("http://127.0.0.1:9/readyz")
