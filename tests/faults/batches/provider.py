"""A provider that counts what it is asked, because each answer would cost money.

It responds as a container of a Describer with `provider: http` does. Its pod runs the text of this
file (`python -c`), and no fault affects it, so that it never forgets a request. The prompt of each
image identifies the image.
"""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 8080

ANSWER_SECONDS = 0.2
"""Time for one answer. It is long enough for a killed worker to be waiting for answers."""

asked: Counter[str] = Counter()
"""Number of requests by prompt, including those whose answers nobody received."""

_lock = threading.Lock()


def answer_text(prompt: str) -> str:
    """Return the description of the image that has this prompt."""
    return f"The answer for {prompt}."


class Handler(BaseHTTPRequestHandler):
    """Handles POST /describe and GET /asked."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        """Count the request, and answer with JSON."""
        self.rfile.read(int(self.headers["Content-Length"]))
        prompt = json.loads(self.headers["Vision-Node-Options"])["prompt"]
        with _lock:
            asked[prompt] += 1

        time.sleep(ANSWER_SECONDS)
        usage = {"inputTokens": 1000, "outputTokens": 10}
        self._answer({"description": answer_text(prompt), "usage": usage})

    def do_GET(self) -> None:
        """Return the number of requests by prompt."""
        with _lock:
            counts = dict(asked)

        self._answer({"asked": counts})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name in the base class)
        """Don't log requests, because there are thousands."""

    def _answer(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()

        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Answers each request in a thread, and keeps none of the threads from ending."""

    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Server(("", PORT), Handler).serve_forever()
