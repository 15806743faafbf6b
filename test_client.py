#!/usr/bin/env python3
"""Submit an image, follow its job, print its description.

    python test_client.py photo.jpg [--url http://127.0.0.1:8000]

Needs nothing but Python. Exits with 0 when the image is described, 1 when it can't be, 2 for wrong
usage.
"""

import argparse
import json
import mimetypes
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

REQUEST_SECONDS = 30
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0


class ClientError(Exception):
    """What went wrong, for the person at the terminal."""


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = parse()
    try:
        job_id = submit(arguments.url, arguments.image)
        print(f"submitted as {job_id}", file=sys.stderr)
        follow(arguments.url, job_id, arguments.timeout)
        result = call(f"{arguments.url}/result/{job_id}")
    except ClientError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1

    print(
        json.dumps(result, indent=2, ensure_ascii=False)
        if arguments.json
        else result["description"]
    )

    return 0


def parse() -> argparse.Namespace:
    """Return the arguments: image (path), url, timeout (seconds), json (whole result or text only)."""
    parser = argparse.ArgumentParser(description="Have an image described.")
    parser.add_argument(
        "image", type=Path, help="path of a JPEG, PNG, WebP, GIF, AVIF, BMP, HEIC or TIFF"
    )
    parser.add_argument(
        "--url", default="http://127.0.0.1:8000", help="the API (default: %(default)s)"
    )
    parser.add_argument(
        "--timeout", type=float, default=120, help="seconds to wait (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the whole result")
    arguments = parser.parse_args()
    arguments.url = arguments.url.rstrip("/")

    return arguments


def submit(url: str, path: Path) -> str:
    """Upload the image; return its job's id."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ClientError(f"{path} can't be read: {error.strerror}") from error

    boundary = uuid.uuid4().hex
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    name = path.name.replace("\\", "_").replace('"', "_")
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = call(f"{url}/submit", body, headers)

    return str(answer["job_id"])


def follow(url: str, job_id: str, timeout: float) -> None:
    """Return when the job is done; say on the way how it goes."""
    deadline = time.monotonic() + timeout
    pause, last = FIRST_PAUSE_SECONDS, ""
    while time.monotonic() < deadline:
        job = call(f"{url}/status/{job_id}")
        if job["status"] != last:
            last = job["status"]
            print(last, file=sys.stderr)
        if last == "done":
            return
        if last == "failed":
            error = job["error"]
            raise ClientError(f"{error['reason']}: {error['message']}")
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)

    raise ClientError(
        f"job {job_id} is still {last} after {timeout:g} s; ask again at {url}/status/{job_id}"
    )


def call(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Send a request (POST if there is a body); return the answer's JSON."""
    if not url.startswith(("http://", "https://")):
        raise ClientError(f"{url} is not an http or https address")

    request = urllib.request.Request(url, data=body, headers=headers or {})  # noqa: S310 (checked above)
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        raise ClientError(problem(error)) from error
    except (urllib.error.URLError, OSError) as error:
        why = getattr(error, "reason", error)
        raise ClientError(f"{url} does not answer ({why}); is the system up? (make up)") from error
    except ValueError as error:
        raise ClientError(f"{url} did not answer with JSON; is that the right address?") from error


def problem(error: urllib.error.HTTPError) -> str:
    """Return what a problem document (RFC 9457) says, or the plain status."""
    try:
        document = json.load(error)
        return f"{document['reason']}: {document['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{error.url} answered {error.code} {error.reason}"


if __name__ == "__main__":
    sys.exit(main())
