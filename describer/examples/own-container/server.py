"""A custom describer in a container. It names a picture's format and repeats the prompt."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_BYTES = 32 << 20
"""Maximum size of a picture in bytes."""


class Handler(BaseHTTPRequestHandler):
    """Handles POST /describe."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        """Read a picture and its options, and answer with JSON."""
        length = int(self.headers.get("Content-Length", 0))
        if self.path != "/describe" or not 0 < length <= MAX_BYTES:
            self.close_connection = True
            refusal = {"reason": "RequestRefused", "message": "POST a picture to /describe"}
            return self._answer(400, refusal)

        picture = self.rfile.read(length)
        options = json.loads(self.headers.get("Vision-Node-Options", "{}"))
        kind = self.headers.get("Content-Type", "").removeprefix("image/").upper()
        asked = f" You asked: {options['prompt']}" if "prompt" in options else ""

        description = f"A {kind} of {len(picture)} bytes.{asked}"
        return self._answer(200, {"description": description, "tags": [kind]})

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()

        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", 9000), Handler).serve_forever()
