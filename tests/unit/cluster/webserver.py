"""A local web server with answers that a test defines."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """An HTTP response."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    announced: int | None = None
    """Value of the Content-Length header. None means the length of `body`; -1 omits the header."""


@dataclass
class WebServer:
    """The answers of a web server by path, and the paths of the requests that it received.

    The answers for a path are sent in order, and the last one is repeated.
    """

    url: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def serve(self, path: str, *answers: Answer) -> str:
        """Answer requests for `path` with `answers`, and return the URL."""
        self.answers[path] = list(answers)
        return f"{self.url}{path}"


@contextmanager
def running() -> Iterator[WebServer]:
    """Start a server, and stop it when the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    try:
        _Handler.web[server.server_port] = WebServer(f"http://127.0.0.1:{server.server_port}")
        yield _Handler.web[server.server_port]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    web: dict[int, WebServer] = {}  # noqa: RUF012  # by port

    def do_GET(self) -> None:
        _, port, *_ = self.server.server_address
        web = self.web[int(port)]
        web.requests.append(self.path)
        answers = web.answers.get(self.path, [Answer(status=404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)

        length = len(answer.body) if answer.announced is None else answer.announced
        if length >= 0:
            self.send_header("Content-Length", str(length))

        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # inherited
        """Suppress the log line of each request."""
