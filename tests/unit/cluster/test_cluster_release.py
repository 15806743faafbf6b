"""When `make up` takes the API for up: when a submit would be accepted."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cluster.release import _trouble

Serve = Callable[[int, bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answer every request on a loopback port with that status and body; return the address."""
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


def trouble(url: str) -> str:
    return _trouble(urllib.request.build_opener(urllib.request.ProxyHandler({})), url)


def test_everything_answers(serve: Serve) -> None:
    assert trouble(serve(200, json.dumps(READY).encode())) == ""


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, json.dumps({**READY, "storage": "BucketNotFound"}).encode(), "BucketNotFound"),
        (200, json.dumps({**READY, "kubernetes": "NotChecked"}).encode(), "NotChecked"),
        (503, b"{}", "503"),
        (200, b"<html>", "Expecting value"),
        (200, b"[]", "[]"),
        (200, b"{}", "{}"),
    ],
)
def test_something_does_not(serve: Serve, status: int, body: bytes, said: str) -> None:
    assert said in trouble(serve(status, body))


def test_nobody_is_there_yet() -> None:
    assert "refused" in trouble("http://127.0.0.1:9/readyz")
