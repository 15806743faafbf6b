#!/usr/bin/env python3
"""Submit an image, follow its job, and print its description.

    python test_client.py photo.jpg [--url http://127.0.0.1:8000]

The script needs only Python and no packages. The exit status is 0 if the image was described, 1 if
it was not, and 2 if the arguments are invalid.
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
"""Time limit for a request."""

FIRST_PAUSE_SECONDS = 0.05
"""Seconds between the first two polls. This is short, because most jobs take less than a second."""

MAX_PAUSE_SECONDS = 1.0
"""Maximum seconds between two polls."""


class ClientError(Exception):
    """An error with a message for the user."""


def main() -> int:
    """Run the command, and return the exit status."""
    arguments = parse_arguments()

    try:
        job_id = submit(arguments.url, arguments.image)
        print(f"submitted as {job_id}", file=sys.stderr)
        follow(arguments.url, job_id, arguments.timeout)
        result = call(f"{arguments.url}/result/{job_id}")
    except ClientError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1

    if arguments.json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        print(result["description"])

    return 0


def parse_arguments() -> argparse.Namespace:
    """Parse the command line.

    The arguments are image (a path), url, timeout (in seconds), and json (whether to print the
    whole result).
    """
    parser = argparse.ArgumentParser(
        description="Submit an image, follow its job, and print its description."
    )
    parser.add_argument(
        "image", type=Path, help="path of a JPEG, PNG, WebP, GIF, AVIF, BMP, HEIC or TIFF file"
    )
    parser.add_argument(
        "--url", default="http://127.0.0.1:8000", help="URL of the API (default: %(default)s)"
    )
    parser.add_argument(
        "--timeout", type=float, default=120, help="maximum seconds to wait (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the whole result as JSON")

    arguments = parser.parse_args()
    arguments.url = arguments.url.rstrip("/")

    return arguments


def submit(url: str, path: Path) -> str:
    """Upload the image, and return the id of its job."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ClientError(f"{path} can't be read: {error.strerror}") from error

    boundary = uuid.uuid4().hex
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    file_name = path.name.replace("\\", "_").replace('"', "_")
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n'
        f"Content-Type: {media_type}\r\n\r\n"
    )
    body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}

    return str(call(f"{url}/submit", body, headers)["job_id"])


def follow(url: str, job_id: str, timeout: float) -> None:
    """Wait until the job is done, and print its status whenever it changes."""
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE_SECONDS
    status = ""

    while time.monotonic() < deadline:
        job = call(f"{url}/status/{job_id}")
        if job["status"] != status:
            status = job["status"]
            print(status, file=sys.stderr)

        if status == "done":
            return

        if status == "failed":
            error = job["error"]
            raise ClientError(f"{error['reason']}: {error['message']}")

        time.sleep(pause)
        pause = min(pause * 1.5, MAX_PAUSE_SECONDS)

    raise ClientError(
        f"Job {job_id} is still {status} after {timeout:g} s. Check {url}/status/{job_id} later."
    )


def call(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Send a request, and return the JSON of the response.

    The method is POST if there is a body; otherwise, it is GET.
    """
    if not url.startswith(("http://", "https://")):
        raise ClientError(f"{url} is not an http or https URL.")

    request = urllib.request.Request(url, data=body, headers=headers or {})  # noqa: S310 (checked above)
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:  # noqa: S310
            document: dict[str, Any] = json.load(response)
            return document
    except urllib.error.HTTPError as error:
        raise ClientError(describe_problem(error)) from error
    except (urllib.error.URLError, OSError) as error:
        cause = getattr(error, "reason", error)
        raise ClientError(
            f"{url} does not respond ({cause}). Is the system running? (make up)"
        ) from error
    except ValueError as error:
        raise ClientError(f"{url} did not respond with JSON. Is it the right URL?") from error


def describe_problem(error: urllib.error.HTTPError) -> str:
    """Return the reason and detail in a problem document (RFC 9457), or else the HTTP status."""
    try:
        document = json.load(error)
        return f"{document['reason']}: {document['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{error.url} responded with {error.code} {error.reason}"


if __name__ == "__main__":
    sys.exit(main())
