"""Submit a small picture to the API, wait for its description and print it.

`helm test` runs this script in the API's image. It needs only the standard library. The API key is
in $VISION_NODE_API_KEY. If the API needs one ($NEEDS_API_KEY) and there is none, only the refusal
is checked.
"""

import json
import os
import struct
import sys
import time
import urllib.error
import urllib.request
import zlib
from typing import Any

WIDTH, HEIGHT = 64, 48
SECONDS = 180.0
"""Time limit for the whole test, which may include the start of the API and of a worker."""

BOUNDARY = "vision-node-test"


def picture() -> bytes:
    """Return a PNG with gradients from dark to bright and from blue to red."""
    rows = (
        b"\0"
        + b"".join(
            bytes((x * 255 // WIDTH, y * 255 // HEIGHT, 255 - x * 255 // WIDTH))
            for x in range(WIDTH)
        )
        for y in range(HEIGHT)
    )

    # The bit depth is 8, and color type 2 is RGB.
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))

    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def call(request: urllib.request.Request, deadline: float) -> dict[str, Any]:
    """Return the API's response. If the API is not ready, retry until the deadline."""
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 (the Service's http)
                body: dict[str, Any] = json.load(answer)
                return body
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > deadline:
                sys.exit(
                    f"{error.url} answered {error.code}: {error.read().decode(errors='replace')}"
                )
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"The API did not answer in time: {error}")

        time.sleep(0.5)


def request_for(
    url: str, data: bytes | None = None, headers: dict[str, str] | None = None
) -> urllib.request.Request:
    """Return a request with the API key, if there is one."""
    request = urllib.request.Request(url, data=data, headers=headers or {})  # noqa: S310
    if key := os.environ.get("VISION_NODE_API_KEY"):
        # A redirect to another server must not carry the key there.
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    return request


def submission(url: str) -> urllib.request.Request:
    """Return the request that submits the picture."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="test.png"\r\n\r\n'
    )
    body = head.encode() + picture() + f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return request_for(f"{url}/submit", body, headers)


def check_refusal(url: str) -> None:
    """Check that the API refuses a request without a key, which is all that can be checked."""
    deadline = time.monotonic() + SECONDS
    # The API is ready when this responds.
    call(request_for(f"{url}/readyz"), deadline)
    try:
        with urllib.request.urlopen(f"{url}/limits", timeout=10) as answer:  # noqa: S310
            sys.exit(f"{url}/limits answered {answer.status} without an API key")
    except urllib.error.HTTPError as error:
        if error.code != 401:
            sys.exit(f"{url}/limits answered {error.code} without an API key, instead of 401")

    print(
        "The API is ready and refuses requests without a key. No picture was described, because "
        "the Secret with the first key was deleted. To describe one, create the Secret again with "
        "a key that may submit and read."
    )


def main(url: str) -> None:
    """Submit the picture, wait for the job, and check and print its description.

    If the description is missing or wrong, exit with a message.
    """
    if os.environ.get("NEEDS_API_KEY") == "true" and not os.environ.get("VISION_NODE_API_KEY"):
        check_refusal(url)
        return

    deadline = time.monotonic() + SECONDS
    job_id = call(submission(url), deadline)["job_id"]
    state = request_for(f"{url}/status/{job_id}")
    while (status := call(state, deadline))["status"] not in {"done", "failed"}:
        if time.monotonic() > deadline:
            sys.exit(f"ImageJob {job_id} is still {status['status']} after {SECONDS:g} s")
        time.sleep(0.2)

    if status["status"] == "failed":
        sys.exit(f"ImageJob {job_id} failed: {status['error']}")

    result = call(request_for(f"{url}/result/{job_id}"), deadline)
    if not result["description"].strip():
        sys.exit(f"ImageJob {job_id} is done with an empty description")

    facts = result.get("facts") or {}  # not every describer returns facts
    if (facts.get("width", WIDTH), facts.get("height", HEIGHT)) != (WIDTH, HEIGHT):
        sys.exit(f"ImageJob {job_id} has {WIDTH}x{HEIGHT} pixels, but was described as {facts}")

    print(f"ImageJob {job_id}, described by {result['describer']}:\n{result['description']}")


if __name__ == "__main__":
    main(sys.argv[1])
