#!/usr/bin/env python3
"""Submit an image, follow its job, and print its description.

    python test_client.py photo.jpg [--url http://127.0.0.1:8000]

If the API needs a key, it is in the environment variable VISION_NODE_API_KEY.
The script needs only Python and no packages. If the package vision-node-client (client/) is
installed, the script uses it, which also repeats requests that were lost. The exit status is 0 if
the image was described, 1 if it was not, and 2 if the arguments are invalid.
"""

import argparse
import json
import mimetypes
import os
import re
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import vision_node_client
except ImportError:
    vision_node_client = None

REQUEST_SECONDS = 30
"""Time limit for a request."""

FIRST_PAUSE_SECONDS = 0.05
"""Seconds between the first two polls. This is short, because most jobs take less than a second."""

MAX_PAUSE_SECONDS = 1.0
"""Maximum seconds between two polls."""

MAX_TEXT_LINES = 20
"""Maximum number of printed lines of the text in an image; with --json, all are printed."""

PLURALS = {"person": "people", "mouse": "mice", "knife": "knives"} | {
    name: name for name in ("broccoli", "scissors", "sheep", "skis")
}
"""Irregular plurals of the last words of objects' names."""

CONTROL_CHARACTERS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
"""Characters that could control the terminal or change the direction of text."""


class ClientError(Exception):
    """An error with a message for the user."""


def main() -> int:
    """Run the command, and return the exit status."""
    arguments = parse_arguments()

    try:
        describe = describe_alone if vision_node_client is None else describe_with_package
        result = describe(arguments)
    except ClientError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1

    if arguments.json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        print(CONTROL_CHARACTERS.sub("\ufffd", readable(result)))

    return 0


def describe_with_package(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the result of the image, with the package vision-node-client."""
    try:
        with vision_node_client.VisionNode(arguments.url, REQUEST_SECONDS) as node:
            job = node.submit(arguments.image, ttl_seconds=arguments.ttl)
            print(f"submitted as {job.id}\n{job.status}", file=sys.stderr)
            ended = node.wait(job, arguments.timeout)
            if ended.error:
                raise ClientError(f"{ended.error.reason}: {ended.error.message}")

            print(ended.status, file=sys.stderr)
            return node.result(job).document
    except vision_node_client.UnreachableError as error:
        raise ClientError(f"{error}. Is the system running? (make up)") from error
    except (vision_node_client.VisionNodeError, ValueError) as error:
        raise ClientError(str(error)) from error
    except OSError as error:
        raise ClientError(f"{arguments.image} can't be read: {error.strerror}") from error


def describe_alone(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the result of the image, without any package."""
    job_id = submit(arguments.url, arguments.image, arguments.ttl)
    print(f"submitted as {job_id}", file=sys.stderr)
    follow(arguments.url, job_id, arguments.timeout)

    return call(f"{arguments.url}/result/{job_id}")


def readable(result: dict[str, Any]) -> str:
    """Return the description; after its sentences, also what was found in the image, if anything.

    Facts have another form for each describer. Only those of the form that the describer `local`
    uses are shown, because the descriptions of the other ones contain all facts.
    """
    lines = str(result["description"]).split("\n")
    facts = result.get("facts")
    found = list(finding_lines(facts)) if isinstance(facts, dict) else []
    if not found and not (isinstance(facts, dict) and "pictureKind" in facts):
        return "\n".join(lines)

    found += text_lines(str(result.get("text") or ""))
    end = next((i for i, line in enumerate(lines) if line.startswith("- ")), len(lines))
    return "\n".join(lines[:end] + found + lines[end:])


def finding_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Yield a line with the objects and faces, and a line with the labels."""
    faces = facts.get("faces")
    things = [*entries(facts, "objects"), faces | {"name": "face"} if is_object(faces) else {}]
    objects = [count_of(thing) + confidence_of(thing) for thing in things if is_counted(thing)]
    if objects:
        yield f"- In the image: {', '.join(objects)}"

    labels = [label for label in entries(facts, "labels") if isinstance(label.get("parents"), list)]
    if labels:
        yield f"- Labels: {', '.join(one_line(x.get('name')) + confidence_of(x) for x in labels)}"


def text_lines(text: str) -> list[str]:
    """Return a line with the text in the image, or several indented ones."""
    read = [line.strip() for line in text.splitlines() if line.strip()]
    if len(read) <= 1:
        return [f"- Text: “{read[0]}”"] if read else []

    shown = [f"    {line}" for line in read[:MAX_TEXT_LINES]]
    more = len(read) - MAX_TEXT_LINES
    return ["- Text:", *shown, *([f"    … and {more} more lines (--json)"] if more > 0 else [])]


def entries(facts: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the JSON objects in a list of the facts; an empty list if it is not a list."""
    found = facts.get(name)
    return [entry for entry in found if is_object(entry)] if isinstance(found, list) else []


def is_object(value: object) -> bool:
    """Return whether this is a JSON object."""
    return isinstance(value, dict)


def is_counted(thing: dict[str, Any]) -> bool:
    """Return whether a thing has a name and a count."""
    count = thing.get("count")
    return isinstance(thing.get("name"), str) and type(count) is int and count > 0


def count_of(thing: dict[str, Any]) -> str:
    """Return a thing with its count, such as "2 people"."""
    name, count = one_line(thing["name"]), thing["count"]
    start, _, last = name.rpartition(" ")
    if last in PLURALS:
        plural = f"{start} {PLURALS[last]}".lstrip()
    else:
        plural = f"{name}es" if last.endswith(("s", "x", "z", "ch", "sh")) else f"{name}s"

    if count == 1:
        return name if plural == name else f"1 {name}"
    return f"{count:,} {plural}"


def confidence_of(entry: dict[str, Any]) -> str:
    """Return the confidence, such as " (81 %)"; empty if there is no valid one."""
    confidence = entry.get("confidence")
    if not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        return ""
    return f" ({round(100 * confidence)} %)"


def one_line(text: object) -> str:
    """Return a name on one line, because a line break in it could imitate another line."""
    return " ".join(str(text).split())


def parse_arguments() -> argparse.Namespace:
    """Parse the command line.

    The arguments are image (a path), url, timeout (in seconds), ttl (how long the server keeps the
    finished job, in seconds, or None), and json (whether to print the whole result).
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
    parser.add_argument(
        "--ttl",
        type=int,
        metavar="SECONDS",
        help="how long the server keeps the finished job (default: the server's default)",
    )
    parser.add_argument("--json", action="store_true", help="print the whole result as JSON")

    arguments = parser.parse_args()
    arguments.url = arguments.url.rstrip("/")

    return arguments


def submit(url: str, path: Path, ttl: int | None = None) -> str:
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

    query = "" if ttl is None else f"?ttlSeconds={ttl}"

    return str(call(f"{url}/submit{query}", body, headers)["job_id"])


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
    if key := os.environ.get("VISION_NODE_API_KEY", "").strip():
        # A redirect to another server must not carry the key there.
        request.add_unredirected_header("Authorization", f"Bearer {key}")

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
