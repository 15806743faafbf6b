"""A receiver of webhooks that prints each request as a line of JSON.

A pod runs the text of this file. The first request to a path that ends with /later is answered
with 503.
"""

import base64
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8080

seen = set()


class Receiver(BaseHTTPRequestHandler):
    """Prints requests."""

    def do_POST(self) -> None:
        """Print a request, and answer it."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        text = base64.b64encode(body).decode()
        line = json.dumps({"path": self.path, "headers": headers, "body": text})
        print(line, flush=True)

        is_later = self.path.endswith("/later") and self.path not in seen
        seen.add(self.path)
        self.send_response(503 if is_later else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing else."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", PORT), Receiver).serve_forever()
